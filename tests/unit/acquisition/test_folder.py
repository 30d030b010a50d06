"""A data set that lies extracted on disk is copied, never linked."""

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.acquisition.source import copy_folder, data_set_root
from pipeline.runtime.errors import SourceError, SpaceError


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
    assert "ignored 1 file outside the official layout: 'notes.md'" in said
    assert not list((tmp_path / "out").rglob("._*"))


def test_a_name_that_is_not_utf_8_is_refused_in_one_line(source: Path, tmp_path: Path) -> None:
    """It could not be written into any table."""
    (source / "FoodSeg103/Images/img_dir/train" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    with pytest.raises(SourceError, match=r"caf\\udce9.jpg': its name is not UTF-8; rename"):
        copy_folder(source, tmp_path / "out", silent)


def test_a_missing_part_is_named(source: Path, tmp_path: Path) -> None:
    """Before anything is copied."""
    (source / "FoodSeg103/ImageSets/test.txt").unlink()
    with pytest.raises(SourceError, match=r"ImageSets/test\.txt absent or empty; see docs/data\.md"):
        copy_folder(source, tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


def test_a_folder_must_hold_one_data_set(source: Path, tmp_path: Path) -> None:
    """Not none, not two."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds 0 data sets"):
        data_set_root(tmp_path / "empty")
    (source / "other/Images").mkdir(parents=True)
    with pytest.raises(SourceError, match="holds 2 data sets"):
        data_set_root(source)


def test_room_is_asked_for(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first file."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0})())
    with pytest.raises(SpaceError, match="are needed here"):
        copy_folder(source, tmp_path / "out", silent)
