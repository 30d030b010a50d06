"""Objects of DVC's cache are named by the MD5 of their bytes."""

import hashlib
from pathlib import Path

from tools.mend_cache import damaged


def store(objects: Path, content: bytes, suffix: str = "") -> Path:
    """Write an object where DVC would."""
    name = hashlib.md5(content).hexdigest()  # noqa: S324 - DVC's name of it
    path = objects / name[:2] / f"{name[2:]}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_whole_objects_are_left_alone(tmp_path: Path) -> None:
    """Files and folder listings alike."""
    store(tmp_path, b"a file")
    store(tmp_path, b"a listing", ".dir")
    assert list(damaged(tmp_path)) == []


def test_one_changed_byte_is_found(tmp_path: Path) -> None:
    """Neighbours are not named."""
    store(tmp_path, b"a file")
    rotten = store(tmp_path, b"another")
    rotten.write_bytes(b"anothar")
    assert list(damaged(tmp_path)) == [rotten]


def test_an_empty_cache_has_no_damage(tmp_path: Path) -> None:
    """Nor has one that does not exist yet."""
    assert list(damaged(tmp_path / "absent")) == []
