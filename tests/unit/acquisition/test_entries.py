"""Tables of contents that no honest archive has are refused before anything is written."""

import stat
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.acquisition.archive import ArchiveLimits, check_entries, folded
from pipeline.runtime.errors import ArchiveError

LIMITS = ArchiveLimits(max_bytes=10_000_000, max_files=10)
END = 1 << 40


def entry(name: str, *, at: int = 0, size: int = 10, packed: int = 10, mode: int = 0) -> zipfile.ZipInfo:
    """Return one entry of a table of contents."""
    info = zipfile.ZipInfo(name)
    info.header_offset, info.file_size, info.compress_size, info.external_attr = at, size, packed, mode << 16
    return info


def names(*all_names: str) -> list[zipfile.ZipInfo]:
    """Return entries of these names, one after the other in the file."""
    return [entry(name, at=10_000 * position, size=0, packed=0) for position, name in enumerate(all_names)]


def test_an_honest_table_passes() -> None:
    """Files, folders, blanks, leading dashes, letters beyond ASCII and two dots inside a name are all right."""
    good = names("FoodSeg103/", "FoodSeg103/a b.jpg", "FoodSeg103/-x.jpg", "FoodSeg103/김치.jpg", "FoodSeg103/a..b")
    check_entries(good, LIMITS, directory_offset=END)
    check_entries([], LIMITS, directory_offset=0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute"),
        ("C:/windows/x", "absolute"),
        ("c:x", "absolute"),
        ("../x", r"`\.\.`"),
        ("a/../../x", r"`\.\.`"),
        ("a/./x", r"`\.\.`"),
        ("a//x", "empty part"),
        ("", "empty part"),
        ("a\\..\\x", "backslash"),
        ("a\nb", "cannot be printed"),
        ("a\x00b", "cannot be printed"),
        ("a\x1b[2Jb", "cannot be printed"),
        ("a\u202egpj.exe", "cannot be printed"),
        ("x" * 256, "too long"),
        ("y/" * 600 + "x", "too long"),
    ],
)
def test_a_name_that_leads_elsewhere_or_deceives_is_refused(name: str, reason: str) -> None:
    """The message names the entry in plain ASCII, so that a terminal is safe too."""
    with pytest.raises(ArchiveError, match=reason) as caught:
        check_entries(names(name), LIMITS, directory_offset=END)
    assert str(caught.value).count("; ") == 1  # one remedy
    assert str(caught.value).isascii()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int) -> None:
    """Whatever their names."""
    with pytest.raises(ArchiveError, match="a link, a device"):
        check_entries([entry("a", mode=kind | 0o777)], LIMITS, directory_offset=END)


def test_files_that_claim_to_be_folders_are_refused() -> None:
    """By mode, or by a name with a slash at the end and content."""
    with pytest.raises(ArchiveError, match="folder by its mode"):
        check_entries([entry("a", mode=stat.S_IFDIR)], LIMITS, directory_offset=END)
    with pytest.raises(ArchiveError, match="folder with content"):
        check_entries([entry("a/")], LIMITS, directory_offset=END)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("a.jpg", "a.jpg", "two entries"),
        ("a.jpg", "A.JPG", "two entries"),
        ("é.jpg", "e\u0301.jpg", "two entries"),
        ("straße", "STRASSE", "two entries"),
        ("Images/a", "images/b", "two spellings"),
        ("a", "a/b", "file and a folder"),
        ("a/b", "A", "file and a folder"),
    ],
)
def test_names_that_some_file_system_cannot_tell_apart_are_refused(first: str, second: str, reason: str) -> None:
    """One would overwrite the other."""
    with pytest.raises(ArchiveError, match=reason):
        check_entries(names(first, second), LIMITS, directory_offset=END)


@pytest.mark.parametrize(("method", "flags"), [(99, 0x1), (8, 0x41), (8, 0x2001)])
def test_other_encryption_says_what_to_do(method: int, flags: int) -> None:
    """AES and PKWARE's strong encryption: unpack it yourself."""
    locked = entry("a")
    locked.compress_type, locked.flag_bits = method, flags
    with pytest.raises(
        ArchiveError, match="another method than ZipCrypto; unpack it yourself and name the folder as the source$"
    ):
        check_entries([locked], LIMITS, directory_offset=END)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9, 97])
def test_only_stored_and_deflated_entries_are_read(method: int) -> None:
    """Others unpack without a bound on memory, or not at all."""
    packed = entry("a")
    packed.compress_type = method
    with pytest.raises(ArchiveError, match="another method than deflate"):
        check_entries([packed], LIMITS, directory_offset=END)


def test_bounds_hold_before_anything_is_unpacked() -> None:
    """Declared sizes are summed, entries counted, ratios looked at; each message names the parameter."""
    with pytest.raises(ArchiveError, match=r"unpacks to 12\.0MB, download\.max_gigabytes allows 10\.0MB"):
        check_entries(
            [entry(n, at=9_000_000 * i, size=6_000_000, packed=6_000_000) for i, n in enumerate("ab")],
            LIMITS,
            directory_offset=END,
        )
    with pytest.raises(ArchiveError, match=r"11 entries, download\.max_files allows 10"):
        check_entries(names(*"abcdefghijk"), LIMITS, directory_offset=END)
    with pytest.raises(ArchiveError, match="grow more than 200 times"):
        check_entries([entry("a", size=9_000_000, packed=9_000)], LIMITS, directory_offset=END)


def test_bytes_may_not_serve_twice() -> None:
    """Overlapping extents are how a small file unpacks to petabytes."""
    with pytest.raises(ArchiveError, match="overlap"):
        check_entries([entry("a", packed=100), entry("b", at=100)], LIMITS, directory_offset=END)
    with pytest.raises(ArchiveError, match="overlap"):
        check_entries([entry("a", packed=100)], LIMITS, directory_offset=130)
    with pytest.raises(ArchiveError, match="begins before the archive"):
        check_entries([entry("a", at=-1)], LIMITS, directory_offset=END)
    check_entries([entry("a", packed=100), entry("b", at=131)], LIMITS, directory_offset=END)


@given(st.text(max_size=40))
def test_every_accepted_name_stays_below_the_folder(name: str) -> None:
    """No text whatever gets out."""
    entries = [entry("placeholder")]
    entries[0].filename = entries[0].orig_filename = name
    try:
        check_entries(entries, LIMITS, directory_offset=END)
    except ArchiveError:
        return
    parts = name.removesuffix("/").split("/")
    assert not name.startswith("/")
    assert not {"", ".", ".."} & set(parts)


@given(st.text())
def test_folding_twice_changes_nothing(name: str) -> None:
    """A law of keys that stand for classes of names."""
    assert folded(folded(name)) == folded(name)
