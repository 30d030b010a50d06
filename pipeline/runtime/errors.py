"""Errors a user can act on: each message says what is wrong, where, and what to do; URLs are shown without secrets.

A secret of a URL is a user name with its password, or a part of the query that grants access: a signature, a token.
"""

import errno
import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

URLS_VARIABLE = "RVERNET_URLS"  # environment variable of whole URLs, separated by blanks; see `with_secrets`
FILE_ERRNOS = {None, errno.EINVAL, errno.EOVERFLOW, errno.ENOENT, errno.ENOTDIR, errno.EISDIR} | {
    errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG,
}  # fmt: skip
"""Error numbers that a file itself can cause. Decoders raise errors without one, or seek where a damaged file says."""

# Repetitions are bounded: matching a line of 70,000 letters would take minutes otherwise.
_NAME = r"[^=&;?#\s]{0,80}(?:key|sig|token|secret|pass|pwd|credential|auth|jwt|session)[^=&;?#\s]{0,80}"
_QUERY = re.compile(rf"([?&;#]{_NAME}=)[^&;#\s'\"`)]+", re.IGNORECASE)
_LOGIN = re.compile(r"[^\s/\\:@'\"`]{1,200}:[^\s/\\@]{0,1000}@(?=[\w\[])")  # `user:password@`, wherever it stands
_USER = re.compile(r"(?:https?|ftps?):[/\\]{0,9}[^/\\?#]{0,1000}@", re.IGNORECASE)
"""A user name in a web URL; in other schemes this part is not a user, for instance a container of Azure."""
_PORT = re.compile(r"://[^/?#@\[\]]*:(?!\d*(?:[/?#]|$))")
"""A colon without a port: the start of a password that contains a slash or a question mark."""
_URL = re.compile(r"([a-z][a-z0-9+.-]{1,30}:/{1,2})([^\s'\"`<>]*)", re.IGNORECASE)
_PUNCTUATION = ":;,.)]}"


def holds_secret(value: str) -> bool:
    """Tell whether a setting that may be a URL, or chained URLs, holds a password, key, token or signature."""
    plain = unquote(value)
    return any(pattern.search(plain) for pattern in (_LOGIN, _USER, _PORT, _QUERY))


def without_secrets(text: str) -> str:
    """Return a text whose URLs have no user, password, query or fragment."""
    return _LOGIN.sub("", _QUERY.sub(r"\1hidden", _URL.sub(_plain_url, text)))


def _plain_url(found: re.Match[str]) -> str:
    scheme, rest = found.groups()
    body = rest.rstrip(_PUNCTUATION)
    authority = re.split(r"[/?#]", body)[0]
    if "@" in authority:
        plain = body[authority.rindex("@") + 1 :]
    else:
        plain = body.rpartition("@")[2] if _PORT.search(f"://{body}") else body
    return scheme + re.split(r"[?#]", plain)[0] + rest[len(body) :]


def with_secrets(url: str) -> str:
    """Return the URL in the environment variable `RVERNET_URLS` that adds secrets to `url`, or `url` if none does.

    Scheme, host, port and path are the same, and it has every part of the query of `url`.
    """
    for listed in os.environ.get(URLS_VARIABLE, "").split():
        if without_secrets(listed) == without_secrets(url):  # a broken URL is not parsed before it is one of these
            query, complete = (set(parse_qsl(urlsplit(each).query, keep_blank_values=True)) for each in (url, listed))
            if query <= complete:
                return listed
    return url


def printable(text: str) -> str:
    """Return `text` as one line of valid Unicode; everything else is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line; without one, its type."""
    return " ".join(str(error).split()) or type(error).__name__


def counted(number: int, what: str, many: str = "") -> str:
    """Return a number and its noun: `1 file`, `2 files`; `many` is an irregular plural: `2 entries`."""
    return f"{number:,} {what if number == 1 else many or f'{what}s'}"


class PipelineError(Exception):
    """Base of every error raised on purpose; shown as one line, without a traceback."""

    def __str__(self) -> str:
        """Return the message without secrets of URLs and without control characters."""
        return printable(without_secrets(super().__str__()))


class ParamsError(PipelineError):
    """`params.yaml`, a settings file or a command line asks for something impossible."""


class MachineError(PipelineError):
    """A file could not be read because of this machine: too little memory, too many open files, or a failing disk."""


class SourceError(PipelineError):
    """A data source cannot be reached, is not what it should be, or failed its checksum."""


class ArchiveError(PipelineError):
    """An archive is damaged, hostile, locked with another password, or too large."""


class SpaceError(PipelineError):
    """A file system has too little free space."""


class DatasetError(PipelineError):
    """Photos, label maps or lists of a data set contradict each other."""


class PhotoError(DatasetError):
    """One photo or label map cannot be decoded."""


class SeveralFoodsError(PhotoError):
    """A mask of one food shows several; the caller adds how to choose one."""


class EmptyMaskError(DatasetError):
    """A mask has no foreground, so it yields no region of interest."""


class ManifestError(PipelineError):
    """A stored file is missing, damaged, or of another version than this code reads."""


class WeightsError(PipelineError):
    """Pre-trained weights are absent, damaged, or do not fit the backbone."""


class ModelError(PipelineError):
    """Backbones cannot be built or joined as asked."""


class TrainingError(PipelineError):
    """Training cannot go on, for instance because a loss is not finite."""


class EvaluationError(PipelineError):
    """A run cannot be evaluated: it does not fit the samples, or its logits are not finite."""


class ExportError(PipelineError):
    """An exported model or data set differs from its source, or cannot be written."""


class BusyError(PipelineError):
    """Another process writes the same output."""


class WorkerError(PipelineError):
    """A worker process ended before its work was done."""


def raise_if_machine_error(place: object, error: BaseException) -> None:
    """Raise `MachineError` if memory, file handles or the disk, and not the file at `place`, caused an error."""
    machine_errno = isinstance(error, OSError) and error.errno not in FILE_ERRNOS
    if isinstance(error, MemoryError) or machine_errno or "out of memory" in str(error).lower():
        reason = " ".join(str(error).split()) or "not enough memory"
        raise MachineError(
            f"{place}: this machine could not read it ({reason}); the file may be sound: free memory, close files or "
            "check the disk, and run the same command again"
        ) from error
