"""Archives, honest, damaged and hostile: their tables of contents, and real extractions."""

import importlib
import io
import stat
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.acquisition.archive import ArchiveLimits, check_entries, extract_archive, folded, use_native_decryption
from pipeline.runtime.errors import ArchiveError, SpaceError

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


Pack = Callable[..., Path]
PASSWORD = "LARCdataset9947"  # noqa: S105 (printed in the authors' README)


def extract(archive: Path, folder: Path, *, password: str | None = PASSWORD, **bounds: int) -> dict[str, bytes]:
    """Extract and return content by path."""
    limits = ArchiveLimits(**({"max_bytes": 10**9, "max_files": 10_000} | bounds))
    extract_archive(archive, folder, password=password, limits=limits, report=lambda *_: None)
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder by its path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def nothing_outside(tmp_path: Path) -> bool:
    """Tell whether a test's folder holds the archive alone."""
    return [path.name for path in tmp_path.iterdir() if path.name != "out"] == ["data.zip"]


@pytest.mark.parametrize("top", ["", "FoodSeg103/", "any name/"])
def test_the_official_files_come_out_without_the_top_folder(
    pack: Pack, official: dict[str, bytes], tmp_path: Path, top: str
) -> None:
    """Whatever it is called, and where there is none."""
    assert extract(pack({top + name: body for name, body in official.items()}), tmp_path / "out") == official


def test_other_files_are_left_out_and_named_in_one_line(
    pack: Pack, official: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clutter of macOS and lists that nobody reads."""
    clutter = {"__MACOSX/._x": b"", "FoodSeg103/.DS_Store": b"", "FoodSeg103/Images/img_dir/train/Thumbs.db": b""}
    extra = {"FoodSeg103/test_recipe1m_id.txt": b"", "FoodSeg103/Readme.txt": b"read me"}
    archive = pack({**{f"FoodSeg103/{n}": b for n, b in official.items()}, **clutter, **extra})
    assert extract(archive, tmp_path / "out") == official
    said = capsys.readouterr().err
    assert "ignored 3 files of macOS or Windows" in said
    assert "ignored 2 files outside the data set: 'FoodSeg103/Readme.txt', 'FoodSeg103/test_recipe1m_id.txt'\n" in said


def test_an_archive_by_the_finder_is_read(pack: Pack, official: dict[str, bytes], tmp_path: Path) -> None:
    """It lays a second tree beside the files, with folders of the same names."""
    shadows = {f"__MACOSX/{name[: name.rfind('/') + 1]}._{Path(name).name}": b"finder" for name in official}
    shadows |= {"__MACOSX/Images/._img_dir": b"finder", "__MACOSX/._Images": b"finder"}
    assert extract(pack(official | shadows), tmp_path / "out") == official


def tar(content: dict[str, bytes], path: Path, mode: str = "w") -> Path:
    """Write a tar with an entry for the folder itself, as `tar -C FOLDER -cf x.tar .` does."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        root = tarfile.TarInfo(".")
        root.type = tarfile.DIRTYPE
        archive.addfile(root)
        for name, body in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("top", ["", "./", "FoodSeg103/"])
def test_a_tar_is_read_like_a_zip(official: dict[str, bytes], tmp_path: Path, mode: str, top: str) -> None:
    """Compressed or not, with or without a top folder, clutter left out."""
    content = {top + name: body for name, body in official.items()} | {f"{top}Images/img_dir/train/._x.jpg": b"finder"}
    assert extract(tar(content, tmp_path / "data.tar", mode), tmp_path / "out") == official


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (("../evil.txt", tarfile.REGTYPE, ""), "outside the destination|empty part"),
        (("/tmp/evil.txt", tarfile.REGTYPE, ""), "absolute"),  # noqa: S108
        (("Images/img_dir/train/l.jpg", tarfile.SYMTYPE, "/etc/passwd"), "absolute|link"),
        (("Images/img_dir/train/l.jpg", tarfile.SYMTYPE, "00000001.jpg"), "link"),
        (("Images/img_dir/train/l.jpg", tarfile.LNKTYPE, "category_id.txt"), "link"),
        (("Images/img_dir/train/d", tarfile.CHRTYPE, ""), "special"),
        (("Images/img_dir/train/p", tarfile.FIFOTYPE, ""), "special"),
        (("category_id.txt", tarfile.REGTYPE, ""), "two entries"),
    ],
)
def test_a_hostile_tar_writes_nothing(
    official: dict[str, bytes], tmp_path: Path, hostile: tuple[str, bytes, str], reason: str
) -> None:
    """One hostile entry discredits the archive, before a byte is written."""
    path = tar(official, tmp_path / "data.tar")
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo(hostile[0])
        _, member.type, member.linkname = hostile
        archive.addfile(member)
    with pytest.raises(ArchiveError, match=rf"data.tar: .*({reason})"):
        extract(path, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.tar"]


def test_the_bounds_hold_for_a_tar(official: dict[str, bytes], tmp_path: Path) -> None:
    """A compressed one is not unpacked further than it takes to know."""
    path = tar(official, tmp_path / "data.tar.gz", "w:gz")
    with pytest.raises(ArchiveError, match="download.max_files allows 3"):
        extract(path, tmp_path / "out", max_files=3)
    with pytest.raises(ArchiveError, match="download.max_gigabytes allows"):
        extract(path, tmp_path / "out", max_bytes=10)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_damaged_tar_is_one_line(official: dict[str, bytes], tmp_path: Path, mode: str) -> None:
    """Cut anywhere, or with a flipped bit."""
    whole = tar(official, tmp_path / "data.tar", mode).read_bytes()
    for at in range(0, len(whole), len(whole) // 40 + 1):
        flipped = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
        for damaged in (whole[:at], flipped):
            (tmp_path / "bad.tar").write_bytes(damaged)
            try:
                extract(tmp_path / "bad.tar", tmp_path / "out")
            except ArchiveError as error:
                message = str(error)
            else:
                continue
            assert message.isprintable()
            assert "bad.tar" in message


def test_a_missing_part_is_named(pack: Pack, official: dict[str, bytes], tmp_path: Path) -> None:
    """Before anything is extracted."""
    del official["Images/ann_dir/test/00000002.png"], official["category_id.txt"]
    with pytest.raises(ArchiveError, match=r"Images/ann_dir/test, category_id.txt absent or empty"):
        extract(pack(official), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_of_something_else_is_refused(pack: Pack, official: dict[str, bytes], tmp_path: Path) -> None:
    """No data set in it, or two."""
    with pytest.raises(ArchiveError, match="found 1 file .*photos without annotation"):
        extract(pack({"holiday.jpg": b""}), tmp_path / "out")
    with pytest.raises(ArchiveError, match="holds 2 data sets, a/, b/"):
        extract(pack({f"{top}/{n}": b for top in "ab" for n, b in official.items()}), tmp_path / "out")


@pytest.mark.parametrize(
    ("body", "diagnosis"),
    [
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7z archive; unpack it yourself and name the folder"),
        (b"Rar!\x1a\x07\x01\x00", "a RAR archive; unpack it yourself and name the folder"),
        (b"\x28\xb5\x2f\xfd\x04\x00", r"packed by Zstandard \(.zst\); unpack it yourself and name the folder"),
        (b"PK\x05\x06" + bytes(18), "an archive without any file; fetch it anew"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", "a web page, not a ZIP"),
        (b"<?xml version='1.0'?><Error>", "a web page, not a ZIP"),
        (b"", "an empty file; fetch it anew"),
        (b"\x1f\x8b\x08 tar", "not a ZIP or tar archive"),
    ],
)
def test_what_is_no_zip_is_called_what_it_is(tmp_path: Path, body: bytes, diagnosis: str) -> None:
    """The message names the file."""
    (tmp_path / "data.zip").write_bytes(body)
    with pytest.raises(ArchiveError, match=f"data.zip: {diagnosis}"):
        extract(tmp_path / "data.zip", tmp_path / "out")


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_zip_is_told(pack: Pack, official: dict[str, bytes], tmp_path: Path, kept: float) -> None:
    """Its table of contents is at the end."""
    archive = pack(official)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * kept)])
    with pytest.raises(ArchiveError, match="a ZIP that is cut short; fetch it anew"):
        extract(archive, tmp_path / "out")


def test_every_single_flipped_byte_is_either_found_or_harmless(
    pack: Pack, official: dict[str, bytes], tmp_path: Path
) -> None:
    """No damage gets through, and none ends in another error than the one line."""
    archive = pack(official)
    sound = archive.read_bytes()
    messages = []
    for position in range(0, len(sound), 7):
        archive.write_bytes(sound[:position] + bytes([sound[position] ^ 0x5A]) + sound[position + 1 :])
        try:
            assert extract(archive, tmp_path / f"out{position}") == official
        except ArchiveError as error:
            messages.append(str(error))
    assert len(messages) > 30
    assert "\n" not in "".join(messages)


@pytest.mark.parametrize(("target", "reason"), [("../evil", "`..`"), ("/tmp/evil", "absolute")])  # noqa: S108
def test_nothing_lands_outside(
    pack: Pack, official: dict[str, bytes], tmp_path: Path, target: str, reason: str
) -> None:
    """One hostile entry discredits the whole archive, wanted or not."""
    with pytest.raises(ArchiveError, match=reason):
        extract(pack(official | {target: b"evil"}), tmp_path / "out")
    assert nothing_outside(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_link_followed_by_a_file_below_it_writes_nothing(
    pack: Pack, official: dict[str, bytes], tmp_path: Path
) -> None:
    """The classic way out of a folder."""
    link = zipfile.ZipInfo("Images/img_dir/train/00000003.jpg")
    link.external_attr = 0o120777 << 16
    with pytest.raises(ArchiveError, match="a link, a device"):
        extract(pack({**official, link: b"/etc"}), tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_comes_twice_is_refused(official: dict[str, bytes], tmp_path: Path) -> None:
    """Readers disagree on which of the two counts."""
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for name, body in [*official.items(), ("category_id.txt", b"0 other\n")]:
            archive.writestr(name, body)
    with pytest.raises(ArchiveError, match="two entries"):
        extract(tmp_path / "data.zip", tmp_path / "out")


def test_a_bomb_is_refused_before_it_grows(pack: Pack, official: dict[str, bytes], tmp_path: Path) -> None:
    """By its ratio, its size, or the number of its entries."""
    bomb = pack(official | {"Images/img_dir/train/00000003.jpg": bytes(5_000_000)})
    with pytest.raises(ArchiveError, match="grow more than 200 times"):
        extract(bomb, tmp_path / "out")
    with pytest.raises(ArchiveError, match=r"download\.max_gigabytes"):
        extract(bomb, tmp_path / "out", max_bytes=1_000_000)
    with pytest.raises(ArchiveError, match=r"download\.max_files"):
        extract(bomb, tmp_path / "out", max_files=7)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("declared", [1, 10**6])
def test_a_size_that_lies_cannot_pass(pack: Pack, official: dict[str, bytes], tmp_path: Path, declared: int) -> None:
    """Never are more bytes written than declared, and fewer are noticed."""
    archive = pack(official | {"Images/img_dir/train/00000003.jpg": b"x" * 20_000}, compression=zipfile.ZIP_STORED)
    patch_directory(archive, "Images/img_dir/train/00000003.jpg", declared)
    with pytest.raises(ArchiveError, match=r"00000003\.jpg.*(damaged|another number of bytes)"):
        extract(archive, tmp_path / "out")
    written = tmp_path / "out/Images/img_dir/train/00000003.jpg"
    assert written.stat().st_size <= declared


def patch_directory(archive: Path, name: str, file_size: int) -> None:
    """Change the declared size of an entry in the table of contents."""
    data = bytearray(archive.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    data[at + 24 : at + 28] = struct.pack("<I", file_size)
    archive.write_bytes(data)


def test_a_zip64_offset_beyond_any_file_is_one_line(pack: Pack, official: dict[str, bytes], tmp_path: Path) -> None:
    """Numbers near 2^64 must not end in an OverflowError."""
    archive = pack(official)
    data = bytearray(archive.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 7, 7, 2**63, 2**63 + 5)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    archive.write_bytes(data[:end] + record + locator + data[end:])
    with pytest.raises(ArchiveError, match=r"damaged|cut short"):
        extract(archive, tmp_path / "out")


def test_an_interrupted_extraction_keeps_what_is_whole(pack: Pack, official: dict[str, bytes], tmp_path: Path) -> None:
    """Files with the right bytes stay untouched; a torn one is written anew."""
    archive = pack(official)
    extract(archive, tmp_path / "out")
    whole, torn = tmp_path / "out/ImageSets/train.txt", tmp_path / "out/category_id.txt"
    before = whole.stat().st_ino, whole.stat().st_mtime_ns
    torn.write_bytes(b"\0" * torn.stat().st_size)
    assert extract(archive, tmp_path / "out") == official
    assert (whole.stat().st_ino, whole.stat().st_mtime_ns) == before


def test_room_is_asked_for_before_the_first_file(
    pack: Pack, official: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And files that are there already need none."""
    archive = pack(official)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0})())
    with pytest.raises(SpaceError, match=r"1\.\d\dkB are needed here and 0\.00B are free"):
        extract(archive, tmp_path / "out")
    monkeypatch.undo()
    extract(archive, tmp_path / "out")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0})())
    assert extract(archive, tmp_path / "out") == official


class TestEncrypted:
    """The real photos, packed and encrypted like the official archive."""

    def test_all_400_photos_come_out(self, shared: Path, tmp_path: Path) -> None:
        """300 train, 100 test, as many label maps, two lists and the names: 803 files."""
        files = extract(shared / "data/FoodSeg103-mini.zip", tmp_path / "out")
        counts = {part: sum(name.startswith(part) for name in files) for part in ("Images/img_dir", "Images/ann_dir")}
        assert counts == {"Images/img_dir": 400, "Images/ann_dir": 400}
        assert len(files) == 803
        assert files["Images/img_dir/train/00004611.jpg"].startswith(b"\xff\xd8")

    def test_decryption_is_native(self) -> None:
        """Pure Python manages 2 MB a second."""
        assert use_native_decryption()

    @pytest.mark.parametrize("password", [None, ""])
    def test_a_missing_password_is_told_before_anything_is_written(
        self, shared: Path, tmp_path: Path, password: str | None
    ) -> None:
        """The message names the parameter."""
        with pytest.raises(ArchiveError, match=r"encrypted; set download\.password"):
            extract(shared / "data/FoodSeg103-mini.zip", tmp_path / "out", password=password)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("password", "reason"), [("wrong0", ": download"), ("wrong524", "damaged .*, or download")]
    )
    def test_a_wrong_password_is_told(self, shared: Path, tmp_path: Path, password: str, reason: str) -> None:
        """Also where the check byte of an entry fits it by chance, one time in 256, and the content does not."""
        with pytest.raises(ArchiveError, match=rf"{reason}\.password is wrong"):
            extract(shared / "data/FoodSeg103-mini.zip", tmp_path / "out", password=password)

    def test_without_the_package_it_is_slow_and_says_so(
        self,
        shared: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """One photo and its label map, read by zipfile's own code."""
        small = reduced(shared / "data/FoodSeg103-mini.zip", tmp_path / "data.zip")
        monkeypatch.setitem(sys.modules, "fast_zip_decryption", None)
        monkeypatch.setattr(zipfile, "ZipExtFile", pure_python().ZipExtFile)
        monkeypatch.setattr(zipfile, "_ZipDecrypter", pure_python()._ZipDecrypter)
        slow = extract(small, tmp_path / "slow")
        assert "package fast_zip_decryption does not work here" in capsys.readouterr().err
        monkeypatch.undo()
        assert extract(small, tmp_path / "fast") == slow
        assert capsys.readouterr().err == ""


def pure_python() -> Any:
    """Return a fresh copy of zipfile that nobody has patched."""
    spec = importlib.util.find_spec("zipfile")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reduced(source: Path, target: Path) -> Path:
    """Copy lists, names and one pair a split of an encrypted archive, byte for byte, into a smaller one."""
    with zipfile.ZipFile(source) as archive:
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
        groups: dict[str, list[zipfile.ZipInfo]] = {}
        for entry in files:
            groups.setdefault(entry.filename.rpartition("/")[0], []).append(entry)
        chosen = [e for group in groups.values() for e in sorted(group, key=lambda e: e.file_size)[:2]]
        raw, out, directory = source.read_bytes(), io.BytesIO(), io.BytesIO()
        for entry in chosen:
            start = entry.header_offset
            name_length, extra_length = struct.unpack("<HH", raw[start + 26 : start + 30])
            end = start + 30 + name_length + extra_length + entry.compress_size
            directory.write(central(entry, out.tell()))
            out.write(raw[start:end])
    offset, size = out.tell(), directory.tell()
    out.write(directory.getvalue())
    out.write(struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(chosen), len(chosen), size, offset, 0))
    target.write_bytes(out.getvalue())
    return target


def central(entry: zipfile.ZipInfo, offset: int) -> bytes:
    """Return the line of the table of contents for an entry that now begins at `offset`."""
    name = entry.filename.encode()
    numbers = (20, 20, entry.flag_bits, entry.compress_type, entry._raw_time, 0, entry.CRC)  # type: ignore[attr-defined]
    sizes = (entry.compress_size, entry.file_size, len(name), 0, 0, 0, 0, entry.external_attr, offset)
    return struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", *numbers, *sizes) + name
