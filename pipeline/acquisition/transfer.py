"""Fetch one file over HTTP, resuming where a broken transfer stopped."""

import http.client
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from pydantic import ValidationError

from pipeline.params.base import Section
from pipeline.runtime.console import ByteReport, note
from pipeline.runtime.errors import URLS_VARIABLE, SourceError, with_secrets, without_secrets
from pipeline.runtime.resources import catch_disk_full, ensure_space, format_bytes

# Read one HTTP answer: is it the file, the rest of the file, another version of it, or none of these.


TRANSIENT: set[int] = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
LOGIN = f"download it in a browser and give the path, or put the URL with its login into {URLS_VARIABLE} (docs/data.md)"
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


def is_transient(response: requests.Response) -> bool:
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


# Stay with the host that the user named: a redirect leads elsewhere only where a hash will prove what comes.


PORTS = {"http": 80, "https": 443}


def may_follow(before: str, after: str, *, pinned: bool) -> bool:
    """Tell whether a redirect is followed: within one scheme, host and port, or from HTTP to HTTPS of the same host.

    Args:
        before: URL that was asked.
        after: URL that it sends us on to.
        pinned: Whether the whole SHA-256 of what comes is known, so that any host may send it.
    """
    here, there = _origin(before), _origin(after)
    upgraded = here == ("http", there[1], PORTS["http"]) and there == ("https", here[1], PORTS["https"])
    return pinned or here == there or upgraded


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


class SameHostSession(requests.Session):
    """A session that asks `may_follow` before it follows a redirect."""

    def __init__(self, *, pinned: bool) -> None:
        """Start a session.

        Args:
            pinned: Whether the whole SHA-256 of what comes is known.
        """
        super().__init__()
        self.pinned = pinned

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where an answer sends us, if anywhere.

        Raises:
            SourceError: If `may_follow` says no.
        """
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        after = urljoin(resp.url, target)
        if not may_follow(resp.url, after, pinned=self.pinned):
            raise SourceError(
                f"{without_secrets(resp.url)}: sends us on to {without_secrets(after)}; pin the whole SHA-256 of what "
                "should come to follow it, or give the other URL if you trust it"
            )
        return target


CHUNK = 1 << 20
CONNECT_TIMEOUT = 10.0
QUICK_ATTEMPTS = 3
"""Tries when nobody has ever answered, so that a machine without network is told within seconds."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between tries; each wait after a try that brought nothing is twice the one before."""
CERTIFICATE = (
    "correct the URL or the clock of this machine, or name the certificates of your network in REQUESTS_CA_BUNDLE"
)


@dataclass(frozen=True, slots=True)
class TransferPolicy:
    """How long to insist, how much to take, and what to trust."""

    attempts: int
    """Tries in a row without a new byte."""
    timeout: float
    """Seconds without a byte after which a connection counts as broken."""
    max_bytes: int
    """Size over which a transfer is refused."""
    pinned: bool
    """Whether a hash will be compared afterwards, so that resuming is safe without ETag and date."""
    local_copy: str = "name a local copy as dataset or download.source"
    """What else a user can do, for messages."""
    bound: str = "download.max_gigabytes"
    """What sets `max_bytes`, for messages."""
    kept: bool = True
    """Whether what was brought outlives a failure, so that the next call goes on from there."""


class _BrokenTransferError(Exception):
    """The try failed in a way that another one may mend."""


class _UnreachableError(_BrokenTransferError):
    """No host answered at all."""


@dataclass(slots=True)
class _Transfer:
    """One file on its way: what a try needs to go on from the last one."""

    url: str
    folder: Path
    policy: TransferPolicy
    report: ByteReport
    session: requests.Session
    answered: bool = False

    @property
    def part(self) -> Path:
        return self.folder / "transfer.part"

    @property
    def have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def state(self) -> Path:
        return self.folder / "transfer.json"

    def known(self) -> Validators:
        try:
            return Validators.model_validate_json(self.state.read_bytes())
        except (FileNotFoundError, ValidationError):
            return Validators()

    def request_headers(self) -> dict[str, str]:
        """Ask for the rest only where it can be told that the rest belongs to what is here."""
        headers = {"Accept-Encoding": "identity"}
        validator = self.known().for_if_range()
        if self.have and (validator or self.policy.pinned):
            headers["Range"] = f"bytes={self.have}-"
        if self.have and validator:
            headers["If-Range"] = validator
        return headers

    def advance(self) -> None:
        """Try once to bring the rest."""
        patience = (min(CONNECT_TIMEOUT, self.policy.timeout), self.policy.timeout)
        try:
            url, headers = with_secrets(self.url), self.request_headers()
            with self.session.get(url, headers=headers, stream=True, timeout=patience) as response:
                self.answered = True
                self.take(response)
        except requests.exceptions.SSLError as error:
            if "certificate" in str(error).lower():  # whatever else ends a handshake, the next one may do
                raise SourceError(f"{without_secrets(self.url)}: {_cause(error)}; {CERTIFICATE}") from error
            raise _BrokenTransferError(_cause(error)) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise (_UnreachableError if _nobody(error) else _BrokenTransferError)(_cause(error)) from error
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _BrokenTransferError(_cause(error)) from error
        except requests.RequestException as error:
            advice = "correct the URL"
            if "SOCKS" in str(error):
                advice = (
                    "a proxy variable (ALL_PROXY, HTTPS_PROXY) names a SOCKS proxy: `pip install PySocks`, or unset it"
                )
            raise SourceError(f"{without_secrets(self.url)}: {_cause(error)}; {advice}") from error

    def take(self, response: requests.Response) -> None:
        """Write what one answer brings, after what is here or instead of it."""
        if complete(response, self.have, self.known()):
            self.report(self.have, self.have)
            return
        if is_transient(response):
            raise _BrokenTransferError(f"HTTP {response.status_code} {response.reason}")
        refuse(response, without_secrets(self.url))
        if response.status_code != http.client.OK and not kept_range(response, self.have, self.known()):
            self.part.unlink(missing_ok=True)
            raise _BrokenTransferError("the file changed on the server; starting again from its first byte")
        if response.status_code == http.client.OK:
            self.part.write_bytes(b"")
            self.state.write_text(validators_of(response).model_dump_json(), encoding="utf-8")
        self.receive(response)

    def receive(self, response: requests.Response) -> None:
        have, total = self.have, self.known().total
        ensure_space(self.folder, (total or have) - have)
        self.report(have, total)
        self.check_size(total or have)
        with catch_disk_full(self.folder, total or have), self.part.open("ab") as file:
            # read1 hands over what has come; a full block would be lost with the connection.
            while block := response.raw.read1(CHUNK, decode_content=False):
                have += len(block)
                self.check_size(have)
                file.write(block)
                self.report(have, total)
        if total is not None and have != total:
            raise _BrokenTransferError(f"the connection ended after {format_bytes(have)} of {format_bytes(total)}")

    def check_size(self, size: int) -> None:
        if size > self.policy.max_bytes:
            raise SourceError(
                f"{without_secrets(self.url)}: larger than {self.policy.bound} allows "
                f"({format_bytes(self.policy.max_bytes)}); raise it if this is the right file"
            )


def _cause(error: BaseException) -> str:
    """Return the innermost reason of nested network errors, in one line."""
    reason = getattr(error.args[0] if error.args else None, "reason", None) or error
    return " ".join(str(reason).split()).rpartition(": ")[2] or type(error).__name__


def _nobody(error: requests.RequestException) -> bool:
    """Tell whether not even a connection came about."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def fetch(
    url: str,
    folder: Path,
    *,
    policy: TransferPolicy,
    report: ByteReport,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Bring a file into a folder, going on with what an earlier call left there.

    Args:
        url: http(s) URL.
        folder: Existing folder for the file and what is known about it.
        policy: When to give up.
        report: Told how far the transfer is.
        sleep: Waits between tries, in seconds.

    Returns:
        Path of the complete file.

    Raises:
        SourceError: If the file cannot be had; the message says why and what to do.
        SpaceError: If the disk has no room for it.
    """
    transfer = _Transfer(url, folder, policy, report, SameHostSession(pinned=policy.pinned))
    fruitless, most = 0, transfer.have
    with transfer.session:
        while True:
            try:
                transfer.advance()
            except _BrokenTransferError as error:
                fruitless, most = (0 if transfer.have > most else fruitless + 1), max(most, transfer.have)
                if fruitless >= (policy.attempts if transfer.answered else min(policy.attempts, QUICK_ATTEMPTS)):
                    raise SourceError(f"{without_secrets(url)}: {error}; {_advice(error, transfer)}") from error
                _wait(error, transfer, fruitless, sleep)
            except SourceError as error:
                kept = _kept(transfer)
                raise SourceError(f"{error}; {kept}" if kept else str(error)) from error
            else:
                return transfer.part


def _wait(error: Exception, transfer: _Transfer, fruitless: int, sleep: Callable[[float], None]) -> None:
    """Wait between two tries; tries of many machines at once spread over half a second."""
    seconds = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** max(0, fruitless - 1)) + random.uniform(0, 0.5)  # noqa: S311
    note(f"transfer broke at {format_bytes(transfer.have)} ({error}); trying again in {seconds:.1f} s")
    sleep(seconds)


def _advice(failure: Exception, transfer: _Transfer) -> str:
    if isinstance(failure, _UnreachableError):
        return f"check the network and the URL, or {transfer.policy.local_copy}"
    if kept := _kept(transfer):
        return f"{kept}: run the same command again later to go on"
    return f"try again later, or {transfer.policy.local_copy}"


def _kept(transfer: _Transfer) -> str:
    """Say what the next call goes on from; nothing where it starts anew."""
    return f"{format_bytes(transfer.have)} are kept" if transfer.have and transfer.policy.kept else ""
