"""Extract the data set of a ZIP or tar whose content is not trusted.

The table of contents is checked before a byte is extracted. ZipCrypto is decrypted at native speed.
"""

import importlib
import lzma
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from pipeline.acquisition.source import note_ignored
from pipeline.datasets.formats import find_data_set
from pipeline.runtime.console import ByteReport, note
from pipeline.runtime.errors import ArchiveError, counted, one_line
from pipeline.runtime.resources import catch_disk_full, ensure_space, format_bytes

BLOCK = 1 << 20
LONGEST_PART, LONGEST_NAME = 255, 1024  # bytes of one folder or file name, and of a whole path
EXTREME_RATIO, RATIO_FROM = 200, 1 << 20  # largest compression of entries from so many bytes on; photos are near 1
UNPACK = "unpack it yourself and name the folder as the source"
AUTHORS = "get the archive from its authors"
LOCAL_HEADER = 30
AES = 99
STRONG_ENCRYPTION = 0x40 | 0x2000
PATCHED = 0x20
ENCRYPTED = 0x1
UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, RuntimeError)
"""Raised by zipfile on damaged archives."""
UNREADABLE_TAR = (tarfile.TarError, lzma.LZMAError, *UNREADABLE, OSError)
"""Raised by tarfile on damaged archives; OSError comes from bz2 and gzip."""
OTHER_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "packed by Zstandard (.zst)",
}
"""Kind of archive by its first bytes."""


class ArchiveLimits(NamedTuple):
    """Bounds on what an archive may unpack to."""

    max_bytes: int  # extracted bytes in all
    max_files: int  # entries in all


def check_entries(entries: Sequence[zipfile.ZipInfo], limits: ArchiveLimits, *, directory_offset: int | None) -> None:
    """Refuse an archive that could write outside its folder, overwrite, deceive, or fill the disk.

    Args:
        entries: Every entry, wanted or not: one hostile entry discredits the archive.
        limits: Bounds on the sum of the declared sizes and on the number of entries.
        directory_offset: Where the table of contents begins; every entry must end before it. None for a tar.

    Raises:
        ArchiveError: Naming the entry and the reason.
    """
    if len(entries) > limits.max_files:
        raise ArchiveError(
            f"{counted(len(entries), 'entry', 'entries')}, download.max_files allows {limits.max_files}; "
            "raise it if this is the right archive"
        )
    declared = sum(entry.file_size for entry in entries)
    if declared > limits.max_bytes:
        raise ArchiveError(
            f"unpacks to {format_bytes(declared)}, download.max_gigabytes allows {format_bytes(limits.max_bytes)}; "
            "raise it if this is the right archive"
        )
    for entry in entries:
        for reason, fix in _refusals(entry):
            raise ArchiveError(f"entry {entry.orig_filename!a:.120}: {reason}; {fix}")
    _check_clashes(entries)
    if directory_offset is not None:
        _check_overlaps(entries, directory_offset)


def _refusals(entry: zipfile.ZipInfo) -> Iterator[tuple[str, str]]:
    """Yield each reason to refuse an entry, with the fix."""
    name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    parts, is_folder = name.removesuffix("/").split("/"), entry.filename.endswith("/")
    lengths = [len(part.encode(errors="replace")) for part in (name, *parts)]
    other_cipher = entry.compress_type == AES or bool(entry.flag_bits & STRONG_ENCRYPTION)
    other_packing = entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    hostile = {
        "its path is absolute": bool(name.startswith("/") or re.match(r"[A-Za-z]:", name)),
        "its name has characters that cannot be printed": not name.isprintable(),
        "its path has an empty part, `.` or `..`": any(part in {"", ".", ".."} for part in parts),
        "its name is too long": lengths[0] > LONGEST_NAME or max(lengths[1:]) > LONGEST_PART,
        "it is a link, a device or another special file": kind not in {0, stat.S_IFREG, stat.S_IFDIR},
        "it is a folder by its mode and a file by its name": kind == stat.S_IFDIR and not is_folder,
        "it is a folder with content": is_folder and entry.file_size > 0,
        f"it would grow more than {EXTREME_RATIO} times when unpacked": (
            entry.file_size >= RATIO_FROM and entry.file_size > EXTREME_RATIO * entry.compress_size
        ),
    }
    unusual = {  # other programs can unpack these
        "its path has a backslash, as some Windows programs write": "\\" in name,
        "it is encrypted by another method than ZipCrypto": other_cipher,
        "it is packed by another method than deflate": other_packing or bool(entry.flag_bits & PATCHED),
    }
    for reasons, fix in ((hostile, AUTHORS), (unusual, UNPACK)):
        yield from ((reason, fix) for reason, holds in reasons.items() if holds)


def folded(name: str) -> str:
    """Return the spelling that is the same for file systems that ignore case and Unicode normalisation."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _check_clashes(entries: Sequence[zipfile.ZipInfo]) -> None:
    files, taken = set[str](), set[str]()
    spellings: dict[str, str] = {}
    for entry in entries:
        path = entry.filename.removesuffix("/")
        key = folded(path)
        if key in taken:
            raise ArchiveError(f"two entries would be written to {path!a:.120}; {AUTHORS}")
        taken.add(key)
        if not entry.is_dir():
            files.add(key)
        folder = entry.filename
        while folder := folder.rpartition("/")[0]:
            known = spellings.setdefault(folded(folder), folder)
            if known != folder:
                raise ArchiveError(f"folder {folder!a:.120} comes in two spellings; {AUTHORS}")
    for key in sorted(files & spellings.keys()):
        raise ArchiveError(f"{spellings[key]!a:.120} is a file and a folder; {AUTHORS}")


def _check_overlaps(entries: Sequence[zipfile.ZipInfo], directory_offset: int) -> None:
    """Find bytes of two entries by their smallest extents: no extra fields, one byte a letter."""
    extents = sorted(
        (each.header_offset, each.header_offset + LOCAL_HEADER + len(each.orig_filename) + each.compress_size)
        for each in entries
    )
    limits = [start for start, _ in extents[1:]] + [directory_offset]
    if extents and extents[0][0] < 0:
        raise ArchiveError("an entry begins before the archive; the archive is damaged: fetch it anew")
    if any(end > limit for (_, end), limit in zip(extents, limits, strict=False)):
        raise ArchiveError("entries overlap or reach beyond the end; the archive is damaged or a bomb: fetch it anew")


def use_native_decryption() -> bool:
    """Decrypt ZipCrypto in C, about 40 times as fast as zipfile; return whether that is possible."""
    try:
        importlib.import_module("fast_zip_decryption")
    except ImportError:
        return False
    return zipfile.ZipExtFile.__module__ == "fast_zip_decryption"


def extract_archive(
    archive: Path, folder: Path, *, password: str | None, limits: ArchiveLimits, report: ByteReport
) -> None:
    """Extract the data set of a ZIP or tar, also a compressed one, without the folders it may lie in.

    Files that an earlier, interrupted call extracted are kept after their bytes have been checked.

    Args:
        archive: Its content is not trusted.
        folder: Destination, made if absent.
        password: ZipCrypto password, if any entry is encrypted.
        limits: Bounds on size and number.
        report: Gets the extracted bytes.

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
        if any(entry.flag_bits & ENCRYPTED for entry in wanted.values()):
            if not password:
                raise ArchiveError("encrypted; set download.password")
            if not use_native_decryption():
                note("package fast_zip_decryption does not work here: decrypting about 40 times slower, in pure Python")
        opened.setpassword((password or "").encode())
        total, done = sum(entry.file_size for entry in wanted.values()), 0
        folder.mkdir(parents=True, exist_ok=True)
        present = {name for name, entry in wanted.items() if _is_extracted(folder / name, entry)}
        ensure_space(folder, total - sum(wanted[name].file_size for name in present))
        with catch_disk_full(folder, total):
            for name, entry in wanted.items():
                if name not in present:
                    _extract(opened, entry, folder / name)
                done += entry.file_size
                report(done, total)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; every error names it."""
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
    return f"damaged ({one_line(error)}); fetch it anew"


def _wanted(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of the data set by their path below its top folder."""
    files = [entry for entry in entries if not entry.is_dir()]
    if not files:
        raise ArchiveError("an archive without any file; fetch it anew, or correct dataset or download.source")
    named = {entry.filename: entry for entry in files}
    try:
        found = find_data_set(named)
    except ValueError as error:
        raise ArchiveError(str(error)) from error
    note_ignored(found.ignored)
    return {name: named[found.top + name] for name in found.files}


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
    try:
        _write_file(opened.open(entry), path, entry.filename, entry.file_size)
    except UNREADABLE as error:
        locked = ", or download.password is wrong" if entry.flag_bits & ENCRYPTED else ""
        reason = f"damaged ({error}){locked}; fetch the archive anew"
        if isinstance(error, RuntimeError) and "Bad password" in str(error):
            reason = "download.password is wrong"
        raise ArchiveError(f"{entry.filename!a}: {reason}") from error


def _write_file(packed: IO[bytes], path: Path, name: str, size: int) -> None:
    """Write one entry, which must have its declared size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # an older file may be a link into DVC's cache
    written = 0
    with packed, path.open("wb") as file:
        while block := packed.read(BLOCK):
            written += len(block)
            if written > size:
                break
            file.write(block)
    if written != size:
        raise ArchiveError(f"{name!a}: holds another number of bytes than declared; fetch the archive anew")


def _is_tar(archive: Path) -> bool:
    try:
        return tarfile.is_tarfile(archive)
    except UNREADABLE_TAR:  # a compressed file that is damaged from its start
        return False


def _extract_tar(archive: Path, folder: Path, limits: ArchiveLimits, report: ByteReport) -> None:
    """Extract the data set of a tar; the same bounds hold, and links and special files are refused."""
    try:
        with tarfile.open(archive) as opened:
            entries = [_as_entry(member, folder) for member in _members(opened, limits)]
            check_entries(entries, limits, directory_offset=None)
            wanted = {entry.filename: name for name, entry in _wanted(entries).items()}
            total, done = sum(entry.file_size for entry in entries if entry.filename in wanted), 0
            folder.mkdir(parents=True, exist_ok=True)
            ensure_space(folder, total)
            with catch_disk_full(folder, total):
                for member in opened:
                    if member.isfile() and (name := wanted.get(_tar_name(member))):
                        packed = cast("IO[bytes]", opened.extractfile(member))  # None for links alone
                        _write_file(packed, folder / name, member.name, member.size)
                        done += member.size
                        report(done, total)
    except ArchiveError as error:
        raise ArchiveError(f"{archive}: {error}") from error
    except UNREADABLE_TAR as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault, not the archive's
        raise ArchiveError(f"{archive}: damaged ({one_line(error)}); fetch it anew") from error


def _members(opened: tarfile.TarFile, limits: ArchiveLimits) -> Iterator[tarfile.TarInfo]:
    """Yield the entries of a tar; having no table of contents, it is read no further than the limits allow."""
    number = size = 0
    for member in opened:
        if member.name == ".":
            continue
        number, size = number + 1, size + member.size
        yield member
        if number > limits.max_files or size > limits.max_bytes:
            return


def _as_entry(member: tarfile.TarInfo, folder: Path) -> zipfile.ZipInfo:
    """Return an entry of a tar as one of a ZIP, so that the same checks hold for both."""
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
