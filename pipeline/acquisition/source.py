"""What `download.source` names: the demo, a URL, a local archive, or a local folder."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pipeline.params.base import Section
from pipeline.runtime.console import ByteReport
from pipeline.runtime.errors import SourceError, without_secrets

DEMO = "demo"
STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "hdfs", "webhdfs"})
"""Schemes of object storage, which fsspec fetches from where the store's own package is installed."""


def is_remote(source: str) -> bool:
    """Tell whether a source has to come over the network."""
    return re.match(r"https?://", source, re.IGNORECASE) is not None


def is_stored(source: str) -> bool:
    """Tell whether a source lies on object storage."""
    scheme, separator, _ = source.partition("://")
    return bool(separator) and scheme.lower() in STORES


def remote_name(url: str) -> str:
    """Return the file name a URL ends in, for instance FoodSeg103.zip."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    return name if name.strip(".") else "archive.zip"


def local_path(source: str) -> Path:
    """Return the existing archive or folder that a path or file:// URL names.

    Raises:
        SourceError: If nothing is there, or the scheme is not one this project fetches.
    """
    path = _path(source)
    try:
        if path.exists():
            return path
    except (OSError, ValueError) as error:
        raise SourceError(f"{source!r}: not a usable path ({error}); correct dataset or download.source") from error
    raise SourceError(
        f"{path}: no such archive or folder; dataset and download.source take demo, an http(s)://, s3:// or file:// "
        "URL, or an existing path"
    )


def _path(source: str) -> Path:
    if "://" not in source:
        return Path(source).expanduser()
    if not source.lower().startswith("file://"):
        raise SourceError(
            f"{without_secrets(source)}: only http, https, file and object storage (s3, gs, az, ...) URLs are "
            "fetched; give a path"
        )
    parts = urlsplit(source)
    if parts.netloc not in {"", "localhost"}:
        raise SourceError(f"{source}: names a file of host {parts.netloc}; write file:///path with three slashes")
    return Path(url2pathname(parts.path))


# What is kept about the origin of `data/raw`: the same wherever the same bytes came from.


class SourceRecord(Section):
    """Content of `data/raw/source.json`."""

    sha256: str
    """Hash of the archive, or of the `sha256sum` listing of a folder."""
    bytes: int
    """Size of the archive, or of the files of a folder."""
    name: str
    """File name of the archive, or name of the folder, without what lies above it."""


def write_record(record: SourceRecord, folder: Path) -> None:
    """Write `folder/source.json` as a new file: an older one may be a link into DVC's cache."""
    (folder / "source.json").unlink(missing_ok=True)
    record.write(folder / "source.json")


# Hash what was acquired, and insist on the hash that was pinned.


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


def verify_sha256(found: str, expected: str | None, what: str) -> None:
    """Compare a hash with the pinned one, if any.

    Raises:
        SourceError: If they differ.
    """
    if expected is not None and found != expected:
        raise SourceError(
            f"{what}: SHA-256 is {found}, download.sha256 asks for {expected}; "
            "the file is damaged or another release: run again to fetch it anew, or correct download.sha256"
        )
