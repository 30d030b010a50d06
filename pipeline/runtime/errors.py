"""Errors a user of the pipeline can act on: each message says what, where and what to do."""

import errno
import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

# Secrets of URLs: recognised in settings, left out of what is shown, and read from the environment.
#
# A secret is a user name with its password, or a part of the query that grants access, such as a signature or a
# token.


VARIABLE = "RVERNET_URLS"
"""Environment variable of whole URLs, separated by blanks; see `with_secrets`."""

# Every repetition that may begin anywhere is bounded: a line of 70,000 letters would take minutes otherwise.
_NAME = r"[^=&;?#\s]{0,80}(?:key|sig|token|secret|pass|pwd|credential|auth|jwt|session)[^=&;?#\s]{0,80}"
_QUERY = re.compile(rf"([?&;#]{_NAME}=)[^&;#\s'\"`)]+", re.IGNORECASE)
_LOGIN = re.compile(r"[^\s/\\:@'\"`]{1,200}:[^\s/\\@]{0,1000}@(?=[\w\[])")
"""`user:password@`, wherever it stands."""
_USER = re.compile(r"(?:https?|ftps?):[/\\]{0,9}[^/\\?#]{0,1000}@", re.IGNORECASE)
"""A user name before a host of the web; other schemes have names there that are none, such as a container of Azure."""
_PORT = re.compile(r"://[^/?#@\[\]]*:(?!\d*(?:[/?#]|$))")
"""No port follows the colon: it is a password with a slash or a question mark in it."""
_URL = re.compile(r"([a-z][a-z0-9+.-]{1,30}:/{1,2})([^\s'\"`<>]*)", re.IGNORECASE)
_PUNCTUATION = ":;,.)]}"


def holds_secret(value: str) -> bool:
    """Tell whether a setting that may be a URL, or a chain of them, holds a password, key, token or signature."""
    plain = unquote(value)
    return any(pattern.search(plain) for pattern in (_LOGIN, _USER, _PORT, _QUERY))


def without_secrets(text: str) -> str:
    """Return a text fit to be shown: its URLs without user, password, query and fragment."""
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

    It adds nothing else: scheme, host, port and path are the same, and it has every part of the query of `url`.
    """
    for listed in os.environ.get(VARIABLE, "").split():
        if without_secrets(listed) == without_secrets(url) and _query(url) <= _query(listed):
            return listed
    return url


def _query(url: str) -> set[tuple[str, str]]:
    return set(parse_qsl(urlsplit(url).query, keep_blank_values=True))


OF_THE_FILE = frozenset(
    {None, errno.EINVAL, errno.EOVERFLOW, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
    | {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG}
)
"""Error numbers that a file can be to blame for: a decoder's own have none, or it sought where the file told it to."""


def printable(text: str) -> str:
    """Return `text` as one line of valid Unicode, with escapes for what names and files may hold beyond that."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(number: int, what: str, many: str = "") -> str:
    """Return a number and what it counts: `1 file`, `2 files`; `many` is for what takes no s: `2 entries`."""
    return f"{number:,} {what if number == 1 else many or f'{what}s'}"


class PipelineError(Exception):
    """Base of every error raised on purpose; shown as one line, without a traceback."""

    def __str__(self) -> str:
        """Return the message fit for a terminal and a log: no secret of a URL, nothing of a hostile file that acts."""
        return printable(without_secrets(super().__str__()))


class ParamsError(PipelineError):
    """`params.yaml`, a settings file or a command line asks for something impossible."""


class MachineError(PipelineError):
    """Too little memory, too many open files or a disk that fails prevented reading: it says nothing about the file."""


class SourceError(PipelineError):
    """A data source cannot be reached, is not what it should be, or failed its checksum."""


class ArchiveError(PipelineError):
    """An archive is damaged, hostile, locked with another password, or too large."""


class SpaceError(PipelineError):
    """A file system has not the room that a stage needs."""


class DatasetError(PipelineError):
    """Photos, label maps or lists of a data set contradict each other."""


class PhotoError(DatasetError):
    """One photo or label map cannot be decoded."""


class SeveralFoodsError(PhotoError):
    """A mask of one food shows several; whoever asked for one adds how to choose."""


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
    """A run cannot be judged: it does not fit the samples, or its logits are not finite."""


class ExportError(PipelineError):
    """An exported model or data set is not what it was made from, or cannot be written."""


class BusyError(PipelineError):
    """Another process is at work on the same output."""


class WorkerError(PipelineError):
    """A worker process ended before its work did."""


def refuse_machine_fault(place: object, error: BaseException) -> None:
    """Return if a file may be to blame for an error met while it was read.

    Args:
        place: The file.
        error: What was raised.

    Raises:
        MachineError: If the machine is: it lacks memory or file handles, or the disk does not answer.
    """
    of_machine = isinstance(error, OSError) and error.errno not in OF_THE_FILE
    if isinstance(error, MemoryError) or of_machine or "out of memory" in str(error).lower():
        reason = " ".join(str(error).split()) or "not enough memory"
        raise MachineError(
            f"{place}: this machine could not read it ({reason}); the file may be sound: free memory, close files or "
            "check the disk, and run the same command again"
        ) from error
