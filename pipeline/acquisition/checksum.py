"""Hash what was acquired, and insist on the hash that was pinned."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pipeline.console import ByteReport
from pipeline.errors import SourceError

BLOCK = 1 << 20


def hash_file(path: Path, report: ByteReport) -> str:
    """Return the hexadecimal SHA-256 of a file, reporting bytes read."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            report(done, total)
    return digest.hexdigest()


def hash_listing(entries: Iterable[tuple[str, str]]) -> str:
    """Return one SHA-256 for a folder: that of its sorted `<sha256>  <path>` lines, as `sha256sum` prints them.

    Args:
        entries: (path below the folder with forward slashes, SHA-256 of the file).
    """
    lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(entries))
    return hashlib.sha256(lines.encode()).hexdigest()


def insist(found: str, expected: str | None, what: str) -> None:
    """Compare a hash with the pinned one, if any.

    Raises:
        SourceError: If they differ.
    """
    if expected is not None and found != expected:
        raise SourceError(
            f"{what}: SHA-256 is {found}, download.sha256 asks for {expected}; "
            "the file is damaged or another release: run again to fetch it anew, or correct download.sha256"
        )
