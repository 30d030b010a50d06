"""Extract the official files of a ZIP, at native speed where it is encrypted, trusting nothing it says of itself."""

import importlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.acquisition.entries import ArchiveLimits, check_entries
from pipeline.acquisition.layout import is_official, missing_parts, summary, top_folders
from pipeline.console import ByteReport, note
from pipeline.errors import ArchiveError
from pipeline.space import ensure_space, space_watched

BLOCK = 1 << 20
ENCRYPTED = 0x1
UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, RuntimeError)
"""What zipfile raises on damaged archives."""


def use_native_decryption() -> bool:
    """Decrypt ZipCrypto in C, about 40 times as fast as zipfile's own code; tell whether that worked."""
    try:
        importlib.import_module("fast_zip_decryption")
    except ImportError:
        return False
    return zipfile.ZipExtFile.__module__ == "fast_zip_decryption"


def extract_archive(
    archive: Path, folder: Path, *, password: str | None, limits: ArchiveLimits, report: ByteReport
) -> None:
    """Extract the official files of an archive, without the folder they may all lie in.

    Files that an earlier, interrupted call extracted are kept after their bytes have been checked.

    Args:
        archive: ZIP file; its content is not trusted.
        folder: Destination, made if absent.
        password: ZipCrypto password, if any entry is encrypted.
        limits: Bounds on size and number.
        report: Told the extracted bytes.

    Raises:
        ArchiveError: If the archive is no ZIP, damaged, hostile, too large, locked, or not in the official layout.
        SpaceError: If the disk has no room for the files.
    """
    with _opened(archive) as opened:
        wanted = _wanted(opened, limits)
        _check_password(list(wanted.values()), password)
        opened.setpassword((password or "").encode())
        total, done = sum(entry.file_size for entry in wanted.values()), 0
        folder.mkdir(parents=True, exist_ok=True)
        present = {name for name, entry in wanted.items() if _is_extracted(folder / name, entry)}
        ensure_space(folder, total - sum(wanted[name].file_size for name in present))
        with space_watched(folder, total):
            for name, entry in wanted.items():
                if name not in present:
                    _extract(opened, entry, folder / name)
                done += entry.file_size
                report(done, total)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive, and put its name before every complaint about it."""
    try:
        opened = zipfile.ZipFile(archive)
    except UNREADABLE as error:
        raise ArchiveError(f"{archive}: {_diagnosis(archive, error)}") from error
    try:
        with opened:
            yield opened
    except ArchiveError as error:
        raise ArchiveError(f"{archive}: {error}") from error


def _diagnosis(archive: Path, error: Exception) -> str:
    with archive.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not a ZIP; open the source in a browser and download the archive itself"
    if not start.startswith(b"pk"):
        return "not a ZIP archive; correct dataset or download.source"
    if isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error):
        return "a ZIP that is cut short; fetch it anew"
    return f"damaged ({' '.join(str(error).split()) or type(error).__name__}); fetch it anew"


def _wanted(opened: zipfile.ZipFile, limits: ArchiveLimits) -> dict[str, zipfile.ZipInfo]:
    """Return the official entries by their path below the common top folder, after all entries have been checked."""
    entries = opened.infolist()
    check_entries(entries, limits, directory_offset=opened.start_dir)
    files = [entry for entry in entries if not entry.is_dir()]
    top = _only_top([entry.filename for entry in files])
    named = {entry.filename.removeprefix(top): entry for entry in files if entry.filename.startswith(top)}
    wanted = {name: named[name] for name in sorted(named) if is_official(name)}
    if missing := missing_parts(wanted):
        raise ArchiveError(f"not in the official layout: {', '.join(missing)} absent or empty; see docs/data.md")
    official = {entry.filename for entry in wanted.values()}
    if ignored := [entry.filename for entry in files if entry.filename not in official]:
        note(f"ignored {len(ignored)} files outside the official layout: {summary(ignored)}")
    return wanted


def _only_top(names: list[str]) -> str:
    tops = top_folders(names)
    if len(tops) != 1:
        held = f"{len(tops)} folders `Images`" if tops else "no folder `Images`"
        raise ArchiveError(f"not in the official layout: it holds {held} ({summary(names)}); see docs/data.md")
    return tops[0]


def _check_password(entries: list[zipfile.ZipInfo], password: str | None) -> None:
    if not any(entry.flag_bits & ENCRYPTED for entry in entries):
        return
    if not password:
        raise ArchiveError("encrypted; set download.password")
    if not use_native_decryption():
        note("package fast_zip_decryption does not work here: decrypting about 40 times slower, in pure Python")


def _is_extracted(path: Path, entry: zipfile.ZipInfo) -> bool:
    """Tell whether an earlier call wrote this entry in full."""
    if not path.is_file() or path.stat().st_size != entry.file_size:
        return False
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum == entry.CRC


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Write one entry; its declared size is a bound while it is written and a promise afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # an older file may be a link into DVC's cache
    written = 0
    try:
        with opened.open(entry) as packed, path.open("wb") as file:
            while block := packed.read(BLOCK):
                written += len(block)
                if written > entry.file_size:
                    break
                file.write(block)
    except UNREADABLE as error:
        raise ArchiveError(f"{entry.filename!a}: {_entry_diagnosis(entry, error)}") from error
    if written != entry.file_size:
        raise ArchiveError(f"{entry.filename!a}: holds another number of bytes than declared; fetch the archive anew")


def _entry_diagnosis(entry: zipfile.ZipInfo, error: Exception) -> str:
    if isinstance(error, RuntimeError) and "Bad password" in str(error):
        return "download.password is wrong"
    locked = ", or download.password is wrong" if entry.flag_bits & ENCRYPTED else ""
    return f"damaged ({error}){locked}; fetch the archive anew"
