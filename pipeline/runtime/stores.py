"""Folders on object storage, named by URL: their files are brought here one at a time, while they are read.

fsspec knows the stores and reads credentials and endpoints where each store's own tools do, so none are settings here.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.runtime.errors import PipelineError, SourceError, without_secrets
from pipeline.runtime.resources import USUAL, is_full, space_watched

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


def open_local(place: Place, name: str) -> AbstractContextManager[Path]:
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


# Outputs of the study on object storage, below `runtime.mirror`: each folder, and beside it DVC's list of its files.
#
# `dvc.lock` has the MD5 of the list, the list those of the files: what the commit does not name is not believed.


RECORD = Path("dvc.lock")
LIST = ".dir"
"""Ends the name of a list, as in DVC's cache."""
ADVICE = "run `python -m pipeline mirror` where the data is"


def local_or_mirror(folder: Path, mirror: str | None) -> Place:
    """Return a folder that a stage wrote if it is here, else its copy in the mirror, held to `dvc.lock`.

    Raises:
        SourceError: If the mirror does not have it as `dvc.lock` names it, or does not answer.
    """
    if mirror is None or folder.exists():
        return folder
    copy = f"{mirror.rstrip('/')}/{folder.as_posix()}"
    return StoredFolder(copy, read_list(folder, mirror, recorded().get(folder.as_posix())))


def read_list(folder: Path, mirror: str, md5: str | None) -> dict[str, str]:
    """Return the MD5 of every file of a mirrored folder by its path there.

    Args:
        folder: Path in the checkout.
        mirror: URL of the mirror.
        md5: Of the list, as `dvc.lock` spells it.

    Raises:
        SourceError: If there is no such list, or another one.
    """
    copy = mirrored(folder, mirror)
    try:
        with open_local(mirrored(folder.parent, mirror), f"{folder.name}{LIST}") as path:
            content = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"{copy}: is not there as a whole; {ADVICE}") from error
    if md5_of_list(content) != md5:
        raise SourceError(f"{copy}: is another one than {RECORD} names; {ADVICE}, or take the commit it was made from")
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def list_of(md5s: Mapping[str, str]) -> bytes:
    """Return DVC's list of files whose MD5 are given by path, to the byte."""
    return json.dumps([{"md5": md5s[path], "relpath": path} for path in sorted(md5s)], sort_keys=True).encode()


def md5_of_list(content: bytes) -> str:
    """Return the hash of a list as `dvc.lock` spells it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest() + LIST


def recorded() -> dict[str, str]:
    """Return the MD5 of every output that `dvc.lock` names, by path.

    Raises:
        SourceError: If it is absent or damaged.
    """
    try:
        stages = YAML(typ="safe").load(RECORD)["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ())}
    except (OSError, YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{RECORD}: absent or damaged; take it from git: it says what a mirror must hold") from error
