"""Read one HTTP answer: is it the file, the rest of the file, another version of it, or none of these."""

import re
from http import HTTPStatus

import requests

from pipeline.errors import SourceError
from pipeline.params.base import Section
from pipeline.url_secrets import VARIABLE

TRANSIENT: set[int] = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
LOGIN = f"download it in a browser and give the path, or put the URL with its login into {VARIABLE} (docs/data.md)"
ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: f"the host asks for a login; {LOGIN}",
    HTTPStatus.FORBIDDEN: f"the host refuses; {LOGIN}",
    HTTPStatus.NOT_FOUND: "nothing is there; correct the URL",
    HTTPStatus.GONE: "the host has removed it; find another URL",
}


class Validators(Section):
    """What identifies one version of a file on a server."""

    etag: str | None = None
    """ETag as sent, quotes included."""
    last_modified: str | None = None
    """Last-Modified as sent."""
    total: int | None = None
    """Size of the whole file in bytes."""

    def for_if_range(self) -> str | None:
        """Return the header value that lets a server resume only the same version; weak ETags cannot (RFC 9110)."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        return strong or self.last_modified

    def same_version(self, other: "Validators") -> bool:
        """Tell whether two answers are surely about the same bytes."""
        if self.etag or other.etag:
            return self.etag == other.etag and self.total == other.total
        return self.last_modified is not None and (self.last_modified, self.total) == (other.last_modified, other.total)


def validators_of(response: requests.Response) -> Validators:
    """Return what an answer tells about the version of the whole file."""
    return Validators(
        etag=response.headers.get("ETag"),
        last_modified=response.headers.get("Last-Modified"),
        total=_total(response),
    )


def _total(response: requests.Response) -> int | None:
    ranged = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
    length = response.headers.get("Content-Length", "")
    if response.status_code == HTTPStatus.OK:
        return int(length) if length.isascii() and length.isdigit() else None
    return int(ranged[1]) if ranged else None


def complete(response: requests.Response, have: int, known: Validators) -> bool:
    """Tell whether the bytes at hand are the whole file already."""
    total = _total(response)
    if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return have > 0 and total == have and known.total in {None, have}
    whole = response.status_code == HTTPStatus.OK and have > 0 and total == have
    return whole and known.same_version(validators_of(response))


def gone(response: requests.Response) -> bool:
    """Tell whether the host may answer better a little later."""
    return response.status_code in TRANSIENT


def kept_range(response: requests.Response, have: int, known: Validators) -> bool:
    """Tell whether an answer is the rest of the version whose first `have` bytes are here."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return False
    starts = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    now = validators_of(response)
    pairs = ((known.etag, now.etag), (known.last_modified, now.last_modified), (known.total, now.total))
    return starts and all(before == after for before, after in pairs if before is not None and after is not None)


def refuse(response: requests.Response, url: str) -> None:
    """Stop at answers that no other try will mend.

    Raises:
        SourceError: If the answer is an error or a web page.
    """
    status = response.status_code
    if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}:
        advice = ADVICE.get(status, "correct the URL, or download it in a browser and give the path")
        raise SourceError(f"{url}: HTTP {status} {response.reason}; {advice}")
    if "html" in response.headers.get("Content-Type", "").lower() and status == HTTPStatus.OK:
        raise SourceError(
            f"{url}: the host sent a web page instead of the file; open the URL in a browser, download the file there, "
            "and give its path"
        )
