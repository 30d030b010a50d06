"""Fetch one file over HTTP, resuming where a broken transfer stopped."""

import http.client
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from pydantic import ValidationError

from pipeline.acquisition.one_host import OneHost
from pipeline.acquisition.reply import Validators, complete, gone, kept_range, refuse, validators_of
from pipeline.console import ByteReport, note
from pipeline.errors import SourceError
from pipeline.space import ensure_space, readable, space_watched
from pipeline.url_secrets import with_secrets, without_secrets

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
        if gone(response):
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
        with space_watched(self.folder, total or have), self.part.open("ab") as file:
            # read1 hands over what has come; a full block would be lost with the connection.
            while block := response.raw.read1(CHUNK, decode_content=False):
                have += len(block)
                self.check_size(have)
                file.write(block)
                self.report(have, total)
        if total is not None and have != total:
            raise _BrokenTransferError(f"the connection ended after {readable(have)} of {readable(total)}")

    def check_size(self, size: int) -> None:
        if size > self.policy.max_bytes:
            raise SourceError(
                f"{without_secrets(self.url)}: larger than {self.policy.bound} allows "
                f"({readable(self.policy.max_bytes)}); raise it if this is the right file"
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
    transfer = _Transfer(url, folder, policy, report, OneHost(pinned=policy.pinned))
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
    note(f"transfer broke at {readable(transfer.have)} ({error}); trying again in {seconds:.1f} s")
    sleep(seconds)


def _advice(failure: Exception, transfer: _Transfer) -> str:
    if isinstance(failure, _UnreachableError):
        return f"check the network and the URL, or {transfer.policy.local_copy}"
    if kept := _kept(transfer):
        return f"{kept}: run the same command again later to go on"
    return f"try again later, or {transfer.policy.local_copy}"


def _kept(transfer: _Transfer) -> str:
    """Say what the next call goes on from; nothing where it starts anew."""
    return f"{readable(transfer.have)} are kept" if transfer.have and transfer.policy.kept else ""
