"""Fetch one file over HTTP, resuming where a broken transfer stopped; other hosts need HTTPS or a pinned SHA-256."""

import http.client
import random
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from pydantic import ValidationError

from pipeline.params.base import Section
from pipeline.runtime.console import ByteReport, note
from pipeline.runtime.errors import URLS_VARIABLE, SourceError, with_secrets, without_secrets
from pipeline.runtime.resources import catch_disk_full, ensure_space, format_bytes

PORTS = {"http": 80, "https": 443}
CHUNK = 1 << 20
CONNECT_TIMEOUT = 10.0
QUICK_ATTEMPTS = 3  # attempts while no host has answered, so that a machine without network fails within seconds
MOST_REDIRECTS = 10
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between attempts; each without new bytes doubles the wait
CERTIFICATE = (
    "correct the URL or the clock of this machine, or name the certificates of your network in REQUESTS_CA_BUNDLE"
)
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses after which a later request may succeed
LOGIN = f"download it in a browser and give the path, or put the URL with its login into {URLS_VARIABLE} (docs/data.md)"
ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: f"the host asks for a login; {LOGIN}",
    HTTPStatus.FORBIDDEN: f"the host refuses; {LOGIN}",
    HTTPStatus.NOT_FOUND: "nothing is there; correct the URL",
    HTTPStatus.GONE: "the host has removed it; find another URL",
}


class Validators(Section):
    """Headers that identify one version of a file on a server."""

    etag: str | None = None  # ETag as sent, quotes included
    last_modified: str | None = None  # Last-Modified as sent
    total: int | None = None  # size of the whole file in bytes


def validators_of(response: requests.Response) -> Validators:
    """Return the version of the whole file that a response describes."""
    etag, date = (response.headers.get(name) for name in ("ETag", "Last-Modified"))
    return Validators(etag=etag, last_modified=date, total=_total(response))


def _total(response: requests.Response) -> int | None:
    ranged = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", response.headers.get("Content-Range", ""))
    length = response.headers.get("Content-Length", "")
    if response.status_code == HTTPStatus.OK:
        return int(length) if length.isascii() and length.isdigit() else None
    return int(ranged[1]) if ranged else None


def complete(response: requests.Response, have: int, known: Validators) -> bool:
    """Tell whether the `have` bytes on disk are the whole file."""
    total = _total(response)
    if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return have > 0 and total == have and known.total in {None, have}
    if response.status_code != HTTPStatus.OK or have == 0 or total != have:
        return False
    now = validators_of(response)  # these are certainly the same bytes, if
    if known.etag or now.etag:
        return known.etag == now.etag and known.total == now.total
    return known.last_modified is not None and (known.last_modified, known.total) == (now.last_modified, now.total)


def continues(response: requests.Response, have: int, known: Validators) -> bool:
    """Tell whether a response is the rest of the version whose first `have` bytes are on disk."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return False
    starts = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    now = validators_of(response)
    pairs = ((known.etag, now.etag), (known.last_modified, now.last_modified), (known.total, now.total))
    return starts and all(before == after for before, after in pairs if before is not None and after is not None)


def refuse(response: requests.Response, url: str) -> None:
    """Raise `SourceError` if a response is an error or a web page, which another attempt would not change."""
    status = response.status_code
    if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}:
        advice = ADVICE.get(status, "correct the URL, or download it in a browser and give the path")
        raise SourceError(f"{url}: HTTP {status} {response.reason}; {advice}")
    if "html" in response.headers.get("Content-Type", "").lower() and status == HTTPStatus.OK:
        raise SourceError(
            f"{url}: the host sent a web page instead of the file; open the URL in a browser, download the file there, "
            "and give its path"
        )


def may_follow(before: str, after: str, *, pinned: bool) -> bool:
    """Tell whether a redirect is followed: to HTTPS anywhere, else within one scheme, host and port.

    If the SHA-256 of the file is `pinned`, what HTTP sends may go on at any host over HTTP.
    """
    here, there = (_origin(url) for url in (before, after))
    return there[0] == "https" or here == there or (pinned and here[0] == there[0] == "http")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


class RedirectedSession(requests.Session):
    """HTTP session that follows the redirects `may_follow` allows; logins stay with the host they are for."""

    def __init__(self, *, pinned: bool) -> None:
        """Start a session; `pinned` tells whether the SHA-256 of the file is known."""
        super().__init__()
        self.pinned, self.max_redirects = pinned, MOST_REDIRECTS
        self.told = set[str]()

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the target of a redirect, None for other responses; raise `SourceError` if it is not allowed."""
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        after = urljoin(resp.url, target)
        if not may_follow(resp.url, after, pinned=self.pinned):
            raise SourceError(
                f"{without_secrets(resp.url)}: sends us on to {without_secrets(after)}, without HTTPS; pin the "
                "whole SHA-256, or give that URL if you trust it"
            )
        scheme, host, _ = _origin(after)
        if host != _origin(resp.url)[1] and f"{scheme}://{host}" not in self.told:
            self.told.add(f"{scheme}://{host}")
            note(f"{_origin(resp.url)[1]} sends us on to {scheme}://{host}")
        return target


class TransferPolicy(NamedTuple):
    """Limits of a transfer, and how its errors advise the user."""

    max_bytes: int  # largest accepted size
    pinned: bool  # whether a hash is compared afterwards, so that resuming is safe without ETag and date
    attempts: int = 8  # attempts in a row without a new byte
    timeout: float = 30.0  # seconds without a byte after which a connection counts as broken
    local_copy: str = "name a local copy as dataset or download.source"  # alternative that messages suggest
    bound: str = "download.max_gigabytes"  # setting of `max_bytes`, for messages
    copies: int = 1  # how often the bytes lie on the disk in the end: twice for an archive, which is then extracted
    kept: bool = True  # whether received bytes outlive a failure, so that the next call resumes


class _BrokenTransferError(Exception):
    """An attempt failed in a way that the next one may not."""


class _UnreachableError(_BrokenTransferError):
    """No host answered."""


class _Transfer:
    """State of one transfer between attempts."""

    def __init__(self, url: str, folder: Path, policy: TransferPolicy, report: ByteReport) -> None:
        self.url, self.folder, self.policy, self.report = url, folder, policy, report
        self.part, self.state = folder / "transfer.part", folder / "transfer.json"
        self.session, self.answered = RedirectedSession(pinned=policy.pinned), False

    @property
    def have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def known(self) -> Validators:
        try:
            return Validators.model_validate_json(self.state.read_bytes())
        except (FileNotFoundError, ValidationError):
            return Validators()

    def advance(self) -> None:
        """Make one attempt to fetch the rest."""
        timeout = (min(CONNECT_TIMEOUT, self.policy.timeout), self.policy.timeout)
        headers, known = {"Accept-Encoding": "identity"}, self.known()
        strong = known.etag if known.etag and not known.etag.startswith("W/") else None  # a weak one is no guard
        validator = strong or known.last_modified
        if self.have and (validator or self.policy.pinned):  # one of them proves that the rest belongs to these bytes
            headers["Range"] = f"bytes={self.have}-"
        if self.have and validator:
            headers["If-Range"] = validator
        try:
            with self.session.get(with_secrets(self.url), headers=headers, stream=True, timeout=timeout) as response:
                self.answered = True
                self.receive(response)
        except requests.exceptions.SSLError as error:
            if "certificate" in str(error).lower():  # any other failed handshake may be transient
                raise SourceError(f"{without_secrets(self.url)}: {_cause(error)}; {CERTIFICATE}") from error
            raise _BrokenTransferError(_cause(error)) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            nested = getattr(error.args[0] if error.args else None, "reason", None)
            unreachable = urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
            raise (_UnreachableError if isinstance(nested, unreachable) else _BrokenTransferError)(
                _cause(error)
            ) from error
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _BrokenTransferError(_cause(error)) from error
        except requests.RequestException as error:
            socks = "a proxy variable (ALL_PROXY, HTTPS_PROXY) names a SOCKS proxy: `pip install PySocks`, or unset it"
            advice = socks if "SOCKS" in str(error) else "correct the URL"
            raise SourceError(f"{without_secrets(self.url)}: {_cause(error)}; {advice}") from error

    def receive(self, response: requests.Response) -> None:
        """Write the body of a response after the bytes on disk, or instead of them."""
        if complete(response, self.have, self.known()):
            self.report(self.have, self.have)
            return
        if response.status_code in TRANSIENT:
            raise _BrokenTransferError(f"HTTP {response.status_code} {response.reason}")
        refuse(response, without_secrets(self.url))
        if response.status_code != http.client.OK and not continues(response, self.have, self.known()):
            self.part.unlink(missing_ok=True)
            raise _BrokenTransferError("the file changed on the server; starting again from its first byte")
        if response.status_code == http.client.OK:
            self.part.write_bytes(b"")
            self.state.write_text(validators_of(response).model_dump_json(), encoding="utf-8")
        have, total = self.have, self.known().total
        ensure_space(self.folder, (total or have) * self.policy.copies - have)
        self.report(have, total)
        self.check_size(total or have)
        with catch_disk_full(self.folder, total or have), self.part.open("ab") as file:
            # read1 returns what has arrived; a full block would be lost with the connection.
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


def fetch(
    url: str,
    folder: Path,
    *,
    policy: TransferPolicy,
    report: ByteReport,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch a file into an existing folder, which also gets its validators, resuming an earlier call; return its path.

    `report` gets the bytes received and their total; `sleep` waits between attempts, in seconds.

    Raises:
        SourceError: If the file cannot be fetched; the message says why and what to do.
        SpaceError: If the disk has no room for it.
    """
    transfer = _Transfer(url, folder, policy, report)
    failures, most = 0, transfer.have
    with transfer.session:
        while True:
            try:
                transfer.advance()
            except _BrokenTransferError as error:
                failures, most = (0 if transfer.have > most else failures + 1), max(most, transfer.have)
                if failures >= (policy.attempts if transfer.answered else min(policy.attempts, QUICK_ATTEMPTS)):
                    raise SourceError(f"{without_secrets(url)}: {error}; {_advice(error, transfer)}") from error
                # Attempts of many machines at once spread over half a second.
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** max(0, failures - 1)) + random.uniform(0, 0.5)  # noqa: S311
                note(f"transfer broke at {format_bytes(transfer.have)} ({error}); trying again in {wait:.1f} s")
                sleep(wait)
            except SourceError as error:
                kept = _kept(transfer)
                raise SourceError(f"{error}; {kept}" if kept else str(error)) from error
            else:
                return transfer.part


def _advice(failure: Exception, transfer: _Transfer) -> str:
    if isinstance(failure, _UnreachableError):
        return f"check the network and the URL, or {transfer.policy.local_copy}"
    if kept := _kept(transfer):
        return f"{kept}: run the same command again later to go on"
    return f"try again later, or {transfer.policy.local_copy}"


def _kept(transfer: _Transfer) -> str:
    """Return how many bytes the next call resumes from, in words; empty if it starts anew."""
    return f"{format_bytes(transfer.have)} are kept" if transfer.have and transfer.policy.kept else ""
