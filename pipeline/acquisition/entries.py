"""Look at the table of contents of an archive before one byte is extracted, and refuse what no honest one holds."""

import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import ArchiveError, counted
from pipeline.space import readable

LONGEST_PART, LONGEST_NAME = 255, 1024
"""Bytes of one folder or file name, and of a whole path."""
EXTREME_RATIO, RATIO_FROM = 200, 1 << 20
"""Compression above this is refused for entries of this many bytes or more: photos and label maps are near 1."""
UNPACK = "unpack it yourself and name the folder as the source"
AUTHORS = "get the archive from its authors"
LOCAL_HEADER = 30
AES = 99
STRONG_ENCRYPTION = 0x40 | 0x2000
PATCHED = 0x20


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds on what an archive may unpack to."""

    max_bytes: int
    """Extracted bytes in all."""
    max_files: int
    """Entries in all."""


def check_entries(entries: Sequence[zipfile.ZipInfo], limits: ArchiveLimits, *, directory_offset: int | None) -> None:
    """Refuse an archive that could write outside its folder, overwrite, deceive, or fill the disk.

    Args:
        entries: Every entry, wanted or not: one hostile entry discredits the archive.
        limits: Bounds on the sum of the declared sizes and on the number of entries.
        directory_offset: Where the table of contents begins; every entry must end before it. None for a tar.

    Raises:
        ArchiveError: Naming the entry and the reason.
    """
    _check_bounds(entries, limits)
    for entry in entries:
        for reason, mend in _reasons(entry):
            raise ArchiveError(f"entry {entry.orig_filename!a:.120}: {reason}; {mend}")
    _check_clashes(entries)
    if directory_offset is not None:
        _check_overlaps(entries, directory_offset)


def _check_bounds(entries: Sequence[zipfile.ZipInfo], limits: ArchiveLimits) -> None:
    if len(entries) > limits.max_files:
        raise ArchiveError(
            f"{counted(len(entries), 'entry', 'entries')}, download.max_files allows {limits.max_files}; "
            "raise it if this is the right archive"
        )
    declared = sum(entry.file_size for entry in entries)
    if declared > limits.max_bytes:
        raise ArchiveError(
            f"unpacks to {readable(declared)}, download.max_gigabytes allows {readable(limits.max_bytes)}; "
            "raise it if this is the right archive"
        )


def _reasons(entry: zipfile.ZipInfo) -> Iterator[tuple[str, str]]:
    """Yield why one entry is refused and what to do; nothing for an honest one."""
    yield from ((reason, AUTHORS) for reason in _hostile(entry))
    yield from ((reason, UNPACK) for reason in _unusual(entry))


def _hostile(entry: zipfile.ZipInfo) -> Iterator[str]:
    """Yield what no honest archive holds."""
    yield from _name_reasons(entry.orig_filename)
    yield from _kind_reasons(entry)
    if entry.file_size >= RATIO_FROM and entry.file_size > EXTREME_RATIO * entry.compress_size:
        yield f"it would grow more than {EXTREME_RATIO} times when unpacked"


def _name_reasons(name: str) -> Iterator[str]:
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        yield "its path is absolute"
    if not name.isprintable():
        yield "its name has characters that cannot be printed"
    if any(part in {"", ".", ".."} for part in parts):
        yield "its path has an empty part, `.` or `..`"
    if len(name.encode()) > LONGEST_NAME or any(len(part.encode()) > LONGEST_PART for part in parts):
        yield "its name is too long"


def _kind_reasons(entry: zipfile.ZipInfo) -> Iterator[str]:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        yield "it is a link, a device or another special file"
    if kind == stat.S_IFDIR and not entry.is_dir():
        yield "it is a folder by its mode and a file by its name"
    if entry.is_dir() and entry.file_size:
        yield "it is a folder with content"


def _unusual(entry: zipfile.ZipInfo) -> Iterator[str]:
    """Yield what other programs can unpack, and this one does not."""
    if "\\" in entry.orig_filename:
        yield "its path has a backslash, as some Windows programs write"
    if entry.compress_type == AES or entry.flag_bits & STRONG_ENCRYPTION:
        yield "it is encrypted by another method than ZipCrypto"
    elif entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} or entry.flag_bits & PATCHED:
        yield "it is packed by another method than deflate"


def folded(name: str) -> str:
    """Return the spelling that file systems blind to case and Unicode normalisation see."""
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
        _note_folders(entry.filename, spellings)
    for key in sorted(files & spellings.keys()):
        raise ArchiveError(f"{spellings[key]!a:.120} is a file and a folder; {AUTHORS}")


def _note_folders(path: str, spellings: dict[str, str]) -> None:
    """Add the folders a path lies in, by their folded names."""
    while path := path.rpartition("/")[0]:
        known = spellings.setdefault(folded(path), path)
        if known != path:
            raise ArchiveError(f"folder {path!a:.120} comes in two spellings; {AUTHORS}")


def _check_overlaps(entries: Sequence[zipfile.ZipInfo], directory_offset: int) -> None:
    """Compare the least extents (no extra fields, one byte a letter): they enough to find bytes that serve twice."""
    extents = sorted((entry.header_offset, _least_end(entry)) for entry in entries)
    limits = [start for start, _ in extents[1:]] + [directory_offset]
    if extents and extents[0][0] < 0:
        raise ArchiveError("an entry begins before the archive; the archive is damaged: fetch it anew")
    if any(end > limit for (_, end), limit in zip(extents, limits, strict=False)):
        raise ArchiveError("entries overlap or reach beyond the end; the archive is damaged or a bomb: fetch it anew")


def _least_end(entry: zipfile.ZipInfo) -> int:
    return entry.header_offset + LOCAL_HEADER + len(entry.orig_filename) + entry.compress_size
