"""Folders on object storage, named by URL: their files are brought here one at a time, while they are read.

fsspec knows the stores and reads credentials and endpoints where each store's own tools do, so none are settings here.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

from pipeline.errors import PipelineError, SourceError
from pipeline.space import USUAL, is_full, space_watched
from pipeline.url_secrets import without_secrets

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder on object storage."""

    url: str
    """Of whatever scheme fsspec knows: `s3://bucket/shards`, `gs://`, `az://`, `memory://`."""
    md5s: Mapping[str, str] | None = field(default=None, compare=False, repr=False)
    """Hexadecimal MD5 by path, which files are held to; None where whoever reads them knows better."""

    @property
    def name(self) -> str:
        """Last part of its path, as of a path here."""
        return str(self).rpartition("/")[2]

    def __str__(self) -> str:
        """Return its URL, fit for messages."""
        return without_secrets(self.url).rstrip("/")

    @contextmanager
    def lent(self, name: str) -> Iterator[Path]:
        """Lend a copy of a file while the block runs; the space it takes is that of one file.

        Raises:
            FileNotFoundError: If there is no such file.
            SourceError: If the store does not answer or refuses, or the file is another one than it is held to.
        """
        with TemporaryDirectory() as place:
            path = Path(place) / Path(name).name
            with store_of(self.url) as (store, folder), space_watched(path.parent, USUAL):
                store.get_file(f"{folder.rstrip('/')}/{name}", str(path))
            if self.md5s is not None and md5_of(path) != self.md5s.get(name):
                raise SourceError(f"{self}/{name}: bytes differ from dvc.lock; run `python -m pipeline mirror` anew")
            yield path


def md5_of(path: Path) -> str:
    """Return the hexadecimal MD5 of a file, by which DVC knows it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


Place: TypeAlias = Path | StoredFolder
"""A folder of this machine or on object storage."""


def place_of(folder: Path | str) -> Place:
    """Return the folder that a path or a URL names."""
    return StoredFolder(folder) if isinstance(folder, str) and "://" in folder else Path(folder)


def mirrored(folder: Path, mirror: str | None) -> Place:
    """Return the copy of a folder of the checkout that lies below the URL `mirror`; the folder itself without one."""
    return folder if mirror is None else StoredFolder(f"{mirror.rstrip('/')}/{folder.as_posix()}")


def lent(place: Place, name: str) -> AbstractContextManager[Path]:
    """Lend a file of a folder by a path on this machine; here it is the file itself, which may be absent.

    Raises:
        FileNotFoundError: If it lies on object storage and is not there.
        SourceError: If the store does not answer, or refuses.
    """
    return place.lent(name) if isinstance(place, StoredFolder) else nullcontext(place / name)


@contextmanager
def store_of(url: str) -> Iterator[tuple["AbstractFileSystem", str]]:
    """Lend the store and the path within it.

    Raises:
        FileNotFoundError: If the store says so of what is asked for.
        OSError: If the disk here is full.
        SourceError: If anything else about it fails; every store has exceptions of its own.
    """
    import fsspec  # noqa: PLC0415 - whoever reads from elsewhere spares it

    try:
        yield fsspec.core.url_to_fs(url)
    except (PipelineError, FileNotFoundError):
        raise
    except Exception as error:
        if is_full(error):
            raise
        raise unanswered(url, error) from error


def unanswered(url: str, error: Exception) -> SourceError:
    """Return the error of a store that failed."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return SourceError(
        f"{without_secrets(url)}: {reason}; check the URL, the credentials and the network (S3 not by Amazon: set "
        "AWS_ENDPOINT_URL), and run the same command again to go on"
    )
