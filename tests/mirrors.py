"""Folders copied to a store, as its own tools would."""

from pathlib import Path

import fsspec

from tests.unit.demo.test_dataset import contents


def stored(folder: Path, url: str) -> str:
    """Copy a folder to a store; return its URL."""
    store, path = fsspec.core.url_to_fs(url)
    for name, content in contents(folder).items():
        store.pipe_file(f"{path}/{name}", content)
    return url


def change(url: str, content: bytes) -> None:
    """Replace one stored file."""
    store, path = fsspec.core.url_to_fs(url)
    store.pipe_file(path, content)
