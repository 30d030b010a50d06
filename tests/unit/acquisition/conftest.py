"""A loopback host that answers as told, and archives in the official layout, honest or not."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loopback import Host, Reply, serving

OFFICIAL = {
    "category_id.txt": b"0 background\n1 candy\n",
    "ImageSets/train.txt": b"00000001.jpg\n",
    "ImageSets/test.txt": b"00000002.jpg\n",
    "Images/img_dir/train/00000001.jpg": b"photo 1" * 100,
    "Images/img_dir/test/00000002.jpg": b"photo 2" * 100,
    "Images/ann_dir/train/00000001.png": b"labels 1",
    "Images/ann_dir/test/00000002.png": b"labels 2",
}


@pytest.fixture
def host() -> Iterator[Host]:
    """Serve a file on loopback until the test ends."""
    with serving() as host:
        yield host


@pytest.fixture
def reply() -> type[Reply]:
    """Return the class of scripted answers, since test folders are no packages."""
    return Reply


@pytest.fixture
def official() -> dict[str, bytes]:
    """Return the smallest data set in the official layout: content by path."""
    return dict(OFFICIAL)


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of archives from content by path, or by `ZipInfo` where an entry lies about itself."""

    def write(content: dict[Any, bytes], *, name: str = "data.zip", compression: int = zipfile.ZIP_DEFLATED) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", compression) as archive:
            for entry, body in content.items():
                archive.writestr(entry, body)
        return tmp_path / name

    return write
