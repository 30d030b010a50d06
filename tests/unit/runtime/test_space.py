"""A full disk is one line that says how much and where."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.runtime.errors import SpaceError
from pipeline.runtime.resources import catch_disk_full, ensure_space, format_bytes
from tests.skips import LINUX_ONLY
from tests.torture.disk import own_disk, resize


def test_enough_room_is_silent(tmp_path: Path) -> None:
    """Up to the last free byte."""
    ensure_space(tmp_path, 0)
    ensure_space(tmp_path, shutil.disk_usage(tmp_path).free // 2)


def test_too_little_room_says_how_much_is_needed_and_where(tmp_path: Path) -> None:
    """With what is free beside it."""
    with pytest.raises(SpaceError, match=rf"{tmp_path}: 1\.00EB are needed here and .* are free; make room"):
        ensure_space(tmp_path, 10**18)


@LINUX_ONLY
def test_a_write_to_a_full_device_is_one_line(tmp_path: Path) -> None:
    """/dev/full refuses every byte, as a full file system does."""
    with pytest.raises(SpaceError, match=r"full; 1\.20GB are needed"), catch_disk_full(tmp_path, 1_200_000_000):
        Path("/dev/full").write_bytes(b"x")


def test_other_troubles_pass_through(tmp_path: Path) -> None:
    """Only a full file system and an exhausted quota are about room."""
    with pytest.raises(PermissionError), catch_disk_full(tmp_path, 1):
        raise PermissionError(errno.EACCES, "no")


def test_sizes_read_well() -> None:
    """Powers of 1000, three digits."""
    assert [format_bytes(n) for n in (0, 999, 1_234_567, 1_200_000_000)] == ["0.00B", "999B", "1.23MB", "1.20GB"]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of its own that has no room left."""
    with own_disk(tmp_path / "disk"):
        with suppress(OSError), (tmp_path / "disk/filler").open("wb", buffering=0) as file:
            resize(tmp_path / "disk", 64)
            while file.write(bytes(4096)):
                pass
        yield tmp_path / "disk"


def test_a_copy_that_finds_no_room_blames_its_destination(full: Path, tmp_path: Path) -> None:
    """Python's own error names the source first, which has room."""
    (tmp_path / "source").write_bytes(bytes(100_000))
    for folder in (full, tmp_path):
        expected = pytest.raises(SpaceError, match=rf"^{full}\S*: the file system is full")
        with expected, catch_disk_full(folder, 100_000):
            shutil.copyfile(tmp_path / "source", full / "copy")


def test_a_full_temporary_folder_is_blamed_and_not_the_output(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a library writes on the way lies elsewhere than what it writes at last."""
    monkeypatch.setattr(tempfile, "tempdir", str(full))
    for watched in (catch_disk_full(tmp_path, 10), catch_disk_full()):
        expected = pytest.raises(SpaceError, match=rf"^{full}: the file system is full")
        with expected, watched, tempfile.TemporaryFile() as file:
            file.write(bytes(100_000))
            file.flush()


def test_a_full_checkout_is_blamed_for_what_a_stage_writes_there(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed write names no file."""
    monkeypatch.chdir(full)
    expected = pytest.raises(SpaceError, match=rf"^{full}: the file system is full, .* are free and up to")
    with expected, catch_disk_full(), Path("out").open("wb") as file:
        file.write(bytes(100_000))
