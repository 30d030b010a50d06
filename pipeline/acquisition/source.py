"""Data sources: what `download.source` names, hashes, and copies of folders."""

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pipeline.datasets.formats import FoundDataSet, find_data_set
from pipeline.datasets.layout import is_clutter, is_utf8
from pipeline.params.base import Section, omit_default
from pipeline.runtime.console import ByteReport, note
from pipeline.runtime.errors import SourceError, counted, without_secrets
from pipeline.runtime.resources import catch_disk_full, ensure_space

DEMO = "demo"
FOODSEG103, OFFICIAL, HUB = "foodseg103", "official", "hub"
"""`foodseg103` comes from its authors, and where that fails from the hub; `foodseg103@hub` chooses."""
STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "hdfs", "webhdfs"})
"""Schemes of object storage, read by fsspec if the store's own package is installed."""
NAMED = (DEMO, FOODSEG103, f"{FOODSEG103}@{OFFICIAL}", f"{FOODSEG103}@{HUB}")  # sources that are no place
BLOCK = 1 << 20
SHOWN = 3  # paths that a message lists before it counts the rest


def is_http_url(source: str) -> bool:
    """Tell whether a source has to come over the network."""
    return re.match(r"https?://", source, re.IGNORECASE) is not None


def is_store_url(source: str) -> bool:
    """Tell whether a source lies on object storage."""
    scheme, separator, _ = source.partition("://")
    return bool(separator) and scheme.lower() in STORES


def is_local(source: str) -> bool:
    """Tell whether a source is a path or file:// URL of this machine."""
    return source not in NAMED and not is_http_url(source) and not is_store_url(source)


def remote_name(url: str) -> str:
    """Return the file name a URL ends in, for instance FoodSeg103.zip."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    return name if name.strip(".") else "archive.zip"


def local_path(source: str) -> Path:
    """Return the existing archive or folder that a path or file:// URL names.

    Raises:
        SourceError: If nothing is there, or the scheme is not one this project fetches.
    """
    if "://" not in source:
        path = Path(source).expanduser()
    elif source.lower().startswith("file://"):
        parts = urlsplit(source)
        if parts.netloc not in {"", "localhost"}:
            raise SourceError(f"{source}: names a file of host {parts.netloc}; write file:///path with three slashes")
        path = Path(url2pathname(parts.path))
    else:
        raise SourceError(
            f"{without_secrets(source)}: only http, https, file and object storage (s3, gs, az, ...) URLs are "
            "fetched; give a path"
        )
    try:
        if path.exists():
            return path
    except (OSError, ValueError) as error:
        raise SourceError(f"{source!r}: not a usable path ({error}); correct dataset or download.source") from error
    raise SourceError(
        f"{path}: no such archive or folder; dataset and download.source take demo, foodseg103, an http(s)://, "
        "s3:// or file:// URL, or an existing path"
    )


class SourceRecord(Section):
    """Content of `data/source.json`; for one place the same on every machine."""

    sha256: str  # hash of the archive, or of the `sha256sum` listing of a folder
    bytes: int  # size of the archive, or of the files of a folder
    name: str  # file name of the archive, name of the folder without what lies above it, or repository on the hub
    revision: str | None = omit_default(None)  # commit on the hub
    instead_of: str | None = omit_default(None)  # where it was asked for first, and why it did not come from there

    def sentence(self) -> str:
        """Return the record for the data card."""
        place = f"{self.name} on the Hugging Face hub, commit {self.revision}" if self.revision else self.name
        instead = f", instead of {self.instead_of}" if self.instead_of else ""
        return f"The data set came from {place}{instead} (bytes {self.bytes:,}, sha256 {self.sha256})."


def hash_file(path: Path, report: ByteReport) -> str:
    """Return the hexadecimal SHA-256 of a file; `report` gets the bytes read."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            report(done, total)
    return digest.hexdigest()


def hash_listing(entries: Iterable[tuple[str, str]]) -> str:
    """Return one SHA-256 for the (path, SHA-256) of a folder's files: that of the listing that `sha256sum` prints."""
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


def is_foodseg103(source: str) -> bool:
    """Tell whether a source is the release of FoodSeg103, from wherever it comes."""
    return source.partition("@")[0] == FOODSEG103


def note_ignored(paths: Collection[str], why: str = "outside the data set") -> None:
    """Print which files are left out; of clutter of macOS and Windows only the number."""
    clutter = [path for path in paths if is_clutter(PurePosixPath(path))]
    if clutter:
        files = counted(len(clutter), "file")
        note(f"ignored {files} of macOS or Windows, or hidden (__MACOSX, ._*, .DS_Store, Thumbs.db)")
    if others := sorted(set(paths) - set(clutter)):
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        note(f"ignored {counted(len(others), 'file')} {why}: {', '.join(map(ascii, others[:SHOWN]))}{more}")


def refuse_outside_links(path: Path, folder: Path) -> None:
    """Refuse a file that a link places outside of the folder, lest the folder's author choose what is copied.

    Args:
        path: File below `folder`.
        folder: Folder that is copied, resolved.

    Raises:
        SourceError: If a link on the way to the file leads out of the folder.
    """
    place = path.resolve()
    if not place.is_relative_to(folder):
        raise SourceError(
            f"{path}: a link leads out of the folder, to {place}; if that is meant, copy the files there: "
            f"cp -rL {shlex.quote(str(folder))} COPY, and name the copy"
        )


def find_in_folder(folder: Path) -> FoundDataSet:
    """Find the data set in a folder; links are followed inside the folder.

    Raises:
        SourceError: If there is none, or more than one, or one of its files is a link that leads out of the folder or
            has a name that is not UTF-8.
    """
    try:
        found = find_data_set(list(_files_below(folder)))
    except ValueError as error:
        raise SourceError(f"{folder}: {error}") from error
    inside = folder.resolve()
    for name in found.files:
        path = folder / found.top / name
        if not is_utf8(PurePosixPath(name)):
            raise SourceError(f"{str(path)!a}: its name is not UTF-8; rename the file")
        refuse_outside_links(path, inside)
    return found


def _files_below(folder: Path) -> Iterator[str]:
    """Yield the relative paths of all files; folders behind links are walked once, those outside refused."""
    inside = folder.resolve()
    walked = {inside}
    for place, folders, names in os.walk(folder, followlinks=True):
        below = Path(place).relative_to(folder)
        yield from ((below / name).as_posix() for name in names if Path(place, name).is_file())
        for name in [name for name in folders if Path(place, name).is_symlink()]:
            target = Path(place, name).resolve()
            if is_clutter(below / name) or target in walked:
                folders.remove(name)
            else:
                refuse_outside_links(Path(place, name), inside)
                walked.add(target)


def copy_folder(source: Path, folder: Path, report: ByteReport) -> SourceRecord:
    """Copy the files of a data set in a folder, perhaps below needless ones; `report` gets the copied bytes.

    The SHA-256 is that of the `sha256sum` listing.

    Raises:
        SourceError: If there is no data set of a known format, or a link leads out of it.
        SpaceError: If the disk has no room for the files.
    """
    found = find_in_folder(source)
    root = source / found.top
    note_ignored(found.ignored)
    sizes = {name: (root / name).stat().st_size for name in found.files}
    folder.mkdir(parents=True, exist_ok=True)
    total, done, hashes = sum(sizes.values()), 0, []
    ensure_space(folder, total)
    with catch_disk_full(folder, total):
        for name, size in sizes.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, folder / name)
            hashes.append((name, hash_file(folder / name, lambda *_: None)))  # the files are small
            done += size
            report(done, total)
    return SourceRecord(sha256=hash_listing(hashes), bytes=total, name=root.name)
