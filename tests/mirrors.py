"""A store on loopback, and folders copied to it as its own tools would."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest
import s3fs

from tests.e2e.servers import BUCKET, s3_account, s3_server
from tests.unit.demo.test_dataset import contents


@contextmanager
def bucket_served() -> Iterator[str]:
    """Serve S3 and lend the URL of a bucket; credentials and endpoint come from where its own tools look."""
    with s3_server() as url, pytest.MonkeyPatch.context() as patch:
        for name, value in s3_account(url).items():
            patch.setenv(name, value)
        yield f"s3://{BUCKET}"
        s3fs.S3FileSystem.clear_instance_cache()


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
