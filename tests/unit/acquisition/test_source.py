"""What `download.source` may name, hashes, the official layout, and copies of folders."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from pipeline.acquisition.source import (
    copy_folder,
    hash_file,
    hash_listing,
    is_http_url,
    is_store_url,
    local_path,
    note_ignored,
    remote_name,
    verify_sha256,
)
from pipeline.runtime.errors import SourceError, SpaceError


@pytest.mark.parametrize(
    ("source", "remote"),
    [("http://a/b", True), ("HTTPS://a/b", True), ("file:///a", False), ("/a/http://", False), ("http", False)],
)
def test_only_http_goes_over_the_network(source: str, remote: bool) -> None:
    """In any case of letters."""
    assert is_http_url(source) is remote


@pytest.mark.parametrize(
    ("source", "stored"),
    [("s3://b/a.zip", True), ("GS://b", True), ("s3:/a", False), ("/s3://a", False)],
)
def test_object_storage_is_told_by_the_scheme(source: str, stored: bool) -> None:
    """In any case of letters."""
    assert is_store_url(source) is stored


def test_a_remote_name_is_the_end_of_the_path() -> None:
    """Decoded, and without query."""
    assert remote_name("https://host/a/Food%20Seg103.zip?token=1#x") == "Food Seg103.zip"
    assert remote_name("https://host/") == "archive.zip"


def test_a_file_url_and_a_path_name_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks are decoded, the home folder is known."""
    path = tmp_path / "a b.zip"
    path.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path(str(path)) == local_path(path.as_uri()) == local_path("~/a b.zip") == path
    assert local_path(path.as_uri().replace("file://", "file://localhost")) == path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/file.zip", "no such archive or folder; dataset and download.source take"),
        ("foodseg", "no such archive or folder"),
        ("a\0b", "no such archive or folder|not a usable path"),
        ("x" * 5000, "not a usable path"),
        ("ftp://host/a.zip", "only http, https, file and object storage"),
        ("file://server/a.zip", "three slashes"),
    ],
)
def test_what_is_not_there_is_one_line(source: str, message: str) -> None:
    """It says what would do."""
    with pytest.raises(SourceError, match=message):
        local_path(source)


def test_a_file_is_hashed_block_by_block(tmp_path: Path) -> None:
    """Over several blocks, reporting the way."""
    body = b"food" * 600_000
    (tmp_path / "a").write_bytes(body)
    seen: list[int] = []
    assert hash_file(tmp_path / "a", lambda done, _: seen.append(done)) == hashlib.sha256(body).hexdigest()
    assert seen == sorted(seen)
    assert seen[-1] == len(body)


def test_a_listing_can_be_made_by_hand() -> None:
    """What `printf a >a; printf b >b; sha256sum a b | sha256sum` printed, in any order of the entries."""
    entries = [(name, hashlib.sha256(name.encode()).hexdigest()) for name in "ba"]
    assert hash_listing(entries) == "cb13f400dcb618e400d0f7d54f7cdb330d37a07272cb99a1016cda5830a10556"


def test_a_wrong_hash_names_both() -> None:
    """And what to do; without a pinned hash all are fine."""
    verify_sha256("a" * 64, None, "x.zip")
    verify_sha256("a" * 64, "a" * 64, "x.zip")
    with pytest.raises(SourceError, match=r"x\.zip: SHA-256 is a{64}, download\.sha256 asks for b{64};.*fetch it anew"):
        verify_sha256("a" * 64, "b" * 64, "x.zip")


def test_a_note_on_ignored_files_is_short_and_safe_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    """Three names and a count."""
    note_ignored(["b", "a"])
    note_ignored(["e", "d", "c\n", "b", "a"], "of no use")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("ignored 2 files outside the data set: 'a', 'b'")
    assert second.endswith(r"ignored 5 files of no use: 'a', 'b', 'c\n' and 2 more")


@pytest.fixture
def source(tmp_path: Path, official: dict[str, bytes]) -> Path:
    """Write a data set below `FoodSeg103`."""
    for name, body in official.items():
        (tmp_path / "data/FoodSeg103" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/FoodSeg103" / name).write_bytes(body)
    return tmp_path / "data"


def silent(_done: int, _total: int | None) -> None:
    """Report to nobody."""


def test_with_and_without_the_top_folder_is_the_same(source: Path, tmp_path: Path, official: dict[str, bytes]) -> None:
    """Official files alone are copied; the source stays as it is."""
    (source / "FoodSeg103/notes.md").write_text("mine", encoding="utf-8")
    outer = copy_folder(source, tmp_path / "a", silent)
    inner = copy_folder(source / "FoodSeg103", tmp_path / "b", silent)
    assert outer == inner
    assert outer.name == "FoodSeg103"
    for copy in ("a", "b"):
        files = [p for p in (tmp_path / copy).rglob("*") if p.is_file()]
        assert {p.relative_to(tmp_path / copy).as_posix(): p.read_bytes() for p in files} == official
        assert all(p.stat().st_nlink == 1 for p in files)


def test_the_hash_is_that_of_the_sha256sum_listing(source: Path, tmp_path: Path, official: dict[str, bytes]) -> None:
    """So that a user can pin a folder with standard tools."""
    record = copy_folder(source, tmp_path / "out", silent)
    lines = [f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in sorted(official.items())]
    assert record.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert record.bytes == sum(map(len, official.values()))


@pytest.mark.parametrize(
    "linked", ["Images", "Images/img_dir/train", "Images/img_dir/train/00000001.jpg", "category_id.txt"]
)
def test_links_that_lead_out_are_refused(source: Path, tmp_path: Path, linked: str) -> None:
    """Whoever packed the folder must not choose which of this user's files are copied, and later shared."""
    (source / "FoodSeg103" / linked).rename(tmp_path / "elsewhere")
    (source / "FoodSeg103" / linked).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=r"a link leads out of the folder, to .*elsewhere.*cp -rL"):
        copy_folder(source, tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


def test_links_inside_are_followed(source: Path, tmp_path: Path) -> None:
    """Both names give the bytes; the copy holds no link."""
    photos = source / "FoodSeg103/Images/img_dir"
    (photos / "train/00000003.jpg").symlink_to(photos / "test/00000002.jpg")
    copy_folder(source, tmp_path / "out", silent)
    copied = tmp_path / "out/Images/img_dir/train/00000003.jpg"
    assert not copied.is_symlink()
    assert copied.read_bytes() == (photos / "test/00000002.jpg").read_bytes()


def test_what_is_left_out_is_named(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clutter by its number, other files by their names, as of an archive."""
    root = source / "FoodSeg103"
    for name in ("__MACOSX/Images/._img_dir", "Images/img_dir/train/._00000001.jpg", ".DS_Store", "Thumbs.db"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    (root / "notes.md").write_bytes(b"")
    (source / "__MACOSX/Images").mkdir(parents=True)
    copy_folder(source, tmp_path / "out", silent)
    said = capsys.readouterr().err
    assert "ignored 4 files of macOS or Windows" in said
    assert "ignored 1 file outside the data set: 'FoodSeg103/notes.md'" in said
    assert not list((tmp_path / "out").rglob("._*"))


def test_a_name_that_is_not_utf_8_is_refused_in_one_line(source: Path, tmp_path: Path) -> None:
    """It could not be written into any table."""
    (source / "FoodSeg103/Images/img_dir/train" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    with pytest.raises(SourceError, match=r"caf\\udce9.jpg': its name is not UTF-8; rename"):
        copy_folder(source, tmp_path / "out", silent)


def test_a_missing_part_is_named(source: Path, tmp_path: Path) -> None:
    """Before anything is copied."""
    (source / "FoodSeg103/ImageSets/test.txt").unlink()
    with pytest.raises(SourceError, match=r"data: not in the official layout: ImageSets/test\.txt absent or empty"):
        copy_folder(source, tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


def test_a_folder_must_hold_one_data_set(source: Path, tmp_path: Path) -> None:
    """Not none, not two; one needless folder above the official one does no harm."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"empty: found no file; expected the official layout .*docs/data\.md"):
        copy_folder(tmp_path / "empty", tmp_path / "out", silent)
    (tmp_path / "kaggle").mkdir()
    source.rename(tmp_path / "kaggle/archive")
    copy_folder(tmp_path / "kaggle", tmp_path / "out", silent)
    shutil.copytree(tmp_path / "kaggle/archive/FoodSeg103", tmp_path / "kaggle/archive/other")
    with pytest.raises(SourceError, match=r"holds 2 data sets, archive/FoodSeg103/, archive/other/; give the path"):
        copy_folder(tmp_path / "kaggle", tmp_path / "out", silent)


def test_links_in_a_circle_end(source: Path, tmp_path: Path, official: dict[str, bytes]) -> None:
    """They add no file."""
    (source / "FoodSeg103/again").symlink_to(source)
    copy_folder(source, tmp_path / "out", silent)
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == len(official)


def test_room_is_asked_for(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first file."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0})())
    with pytest.raises(SpaceError, match="are needed here"):
        copy_folder(source, tmp_path / "out", silent)
