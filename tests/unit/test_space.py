"""A full disk is one line that says how much and where."""

import errno
import shutil
from pathlib import Path

import pytest

from pipeline.errors import SpaceError
from pipeline.space import ensure_space, readable, space_watched


def test_enough_room_is_silent(tmp_path: Path) -> None:
    """Up to the last free byte."""
    ensure_space(tmp_path, 0)
    ensure_space(tmp_path, shutil.disk_usage(tmp_path).free // 2)


def test_too_little_room_says_how_much_is_needed_and_where(tmp_path: Path) -> None:
    """With what is free beside it."""
    with pytest.raises(SpaceError, match=rf"{tmp_path}: 1\.00EB are needed here and .* are free; make room"):
        ensure_space(tmp_path, 10**18)


def test_a_write_to_a_full_device_is_one_line(tmp_path: Path) -> None:
    """/dev/full refuses every byte, as a full file system does."""
    with pytest.raises(SpaceError, match=r"full; 1\.20GB are needed"), space_watched(tmp_path, 1_200_000_000):
        Path("/dev/full").write_bytes(b"x")


def test_other_troubles_pass_through(tmp_path: Path) -> None:
    """Only a full file system and an exhausted quota are about room."""
    with pytest.raises(PermissionError), space_watched(tmp_path, 1):
        raise PermissionError(errno.EACCES, "no")


def test_sizes_read_well() -> None:
    """Powers of 1000, three digits."""
    assert [readable(n) for n in (0, 999, 1_234_567, 1_200_000_000)] == ["0.00B", "999B", "1.23MB", "1.20GB"]
