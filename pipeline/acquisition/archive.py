"""Extract the official files of a ZIP or tar, ZipCrypto at native speed, trusting nothing an archive says of itself."""

import importlib
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipeline.acquisition.entries import AUTHORS, UNPACK, ArchiveLimits, check_entries
from pipeline.acquisition.layout import is_official, missing_parts, note_ignored, summary, top_folders
from pipeline.console import ByteReport, note
from pipeline.datasets.layout import is_clutter
from pipeline.errors import ArchiveError
from pipeline.space import ensure_space, space_watched

BLOCK = 1 << 20
ENCRYPTED = 0x1
UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, RuntimeError)
"""What zipfile raises on damaged archives."""
UNREADABLE_TAR = (tarfile.TarError, lzma.LZMAError, *UNREADABLE, OSError)
"""What tarfile raises on damaged archives; OSError is bz2's and gzip's."""
OTHER_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "packed by Zstandard (.zst)",
}
"""Archives by how they begin."""


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
        archive: ZIP or tar file, also a compressed one; its content is not trusted.
        folder: Destination, made if absent.
        password: ZipCrypto password, if any entry is encrypted.
        limits: Bounds on size and number.
        report: Told the extracted bytes.

    Raises:
        ArchiveError: If the archive is no ZIP or tar, damaged, hostile, too large, locked, or in another layout.
        SpaceError: If the disk has no room for the files.
    """
    if not zipfile.is_zipfile(archive) and _is_tar(archive):
        _extract_tar(archive, folder, limits, report)
        return
    with _opened(archive) as opened:
        check_entries(opened.infolist(), limits, directory_offset=opened.start_dir)
        wanted = _wanted(opened.infolist())
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
    for beginning, kind in OTHER_ARCHIVES.items():
        if start.startswith(beginning.lower()):
            return f"{kind}; {UNPACK}"
    if not start:
        return "an empty file; fetch it anew, or correct dataset or download.source"
    if not start.startswith(b"pk"):
        return "not a ZIP or tar archive; correct dataset or download.source"
    if isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error):
        return "a ZIP that is cut short; fetch it anew"
    return f"damaged ({' '.join(str(error).split()) or type(error).__name__}); fetch it anew"


def _wanted(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Return the official entries by their path below the common top folder; all entries have been checked."""
    files = [entry for entry in entries if not entry.is_dir()]
    if not files:
        raise ArchiveError("an archive without any file; fetch it anew, or correct dataset or download.source")
    top = _only_top([entry.filename for entry in files])
    named = {entry.filename.removeprefix(top): entry for entry in files if entry.filename.startswith(top)}
    wanted = {name: named[name] for name in sorted(named) if is_official(name)}
    if missing := missing_parts(wanted):
        raise ArchiveError(f"not in the official layout: {', '.join(missing)} absent or empty; see docs/data.md")
    official = {entry.filename for entry in wanted.values()}
    note_ignored([entry.filename for entry in files if entry.filename not in official])
    return wanted


def _only_top(names: list[str]) -> str:
    tops = top_folders(names)
    if len(tops) != 1:
        held = f"{len(tops)} folders `Images`" if tops else "no folder `Images`"
        named = summary([name for name in names if not is_clutter(PurePosixPath(name))])
        raise ArchiveError(f"not in the official layout: it holds {held} ({named}); see docs/data.md")
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


def _is_tar(archive: Path) -> bool:
    try:
        return tarfile.is_tarfile(archive)
    except UNREADABLE_TAR:  # a compressed file that is damaged from its start
        return False


def _extract_tar(archive: Path, folder: Path, limits: ArchiveLimits, report: ByteReport) -> None:
    """Extract the official files of a tar; the same bounds hold, and links and special files are refused."""
    try:
        with tarfile.open(archive) as opened:
            entries = [_as_entry(member, folder) for member in _members(opened, limits)]
            check_entries(entries, limits, directory_offset=None)
            wanted = {entry.filename: name for name, entry in _wanted(entries).items()}
            total, done = sum(entry.file_size for entry in entries if entry.filename in wanted), 0
            folder.mkdir(parents=True, exist_ok=True)
            ensure_space(folder, total)
            with space_watched(folder, total):
                for member in opened:
                    if member.isfile() and (name := wanted.get(_tar_name(member))):
                        _write_member(opened, member, folder / name)
                        done += member.size
                        report(done, total)
    except ArchiveError as error:
        raise ArchiveError(f"{archive}: {error}") from error
    except UNREADABLE_TAR as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault, not the archive's
        raise ArchiveError(f"{archive}: damaged ({' '.join(str(error).split())}); fetch it anew") from error


def _members(opened: tarfile.TarFile, limits: ArchiveLimits) -> Iterator[tarfile.TarInfo]:
    """Yield the entries of a tar, and stop reading once they are more than the limits allow: it has no contents."""
    number = size = 0
    for member in opened:
        if member.name == ".":
            continue
        number, size = number + 1, size + member.size
        yield member
        if number > limits.max_files or size > limits.max_bytes:
            return


def _as_entry(member: tarfile.TarInfo, folder: Path) -> zipfile.ZipInfo:
    """Return an entry of a tar as one of a ZIP, so that one set of rules holds for both."""
    try:
        tarfile.data_filter(member, str(folder))
    except tarfile.FilterError as error:
        raise ArchiveError(f"entry {member.name!a:.120}: {error}; {AUTHORS}") from error
    kind = stat.S_IFREG if member.isfile() else stat.S_IFDIR if member.isdir() else stat.S_IFLNK
    entry = zipfile.ZipInfo(_tar_name(member))
    entry.file_size = entry.compress_size = member.size
    entry.external_attr = kind << 16
    return entry


def _tar_name(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./") + ("/" if member.isdir() else "")


def _write_member(opened: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # an older file may be a link into DVC's cache
    packed = opened.extractfile(member)
    if packed is None:
        raise ArchiveError(f"{member.name!a}: holds no bytes; fetch the archive anew")
    with packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file, BLOCK)
    if path.stat().st_size != member.size:
        raise ArchiveError(f"{member.name!a}: cut short; fetch the archive anew")
