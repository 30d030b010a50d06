"""A data set that lies extracted on disk is copied, never linked."""

import hashlib
from pathlib import Path

import pytest

from pipeline.acquisition.folder import copy_folder, data_set_root
from pipeline.errors import SourceError, SpaceError


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


def test_linked_folders_are_followed(source: Path, tmp_path: Path) -> None:
    """Photos often lie on another disk."""
    (source / "FoodSeg103/Images").rename(tmp_path / "elsewhere")
    (source / "FoodSeg103/Images").symlink_to(tmp_path / "elsewhere")
    copy_folder(source, tmp_path / "out", silent)
    assert not (tmp_path / "out/Images").is_symlink()
    assert (tmp_path / "out/Images/img_dir/test/00000002.jpg").is_file()


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
