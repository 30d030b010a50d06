"""Folders on object storage, by URL, and mirrored outputs of the study; files are downloaded one at a time.

fsspec reads credentials and endpoints where each store's own tools do. Below `runtime.mirror` lies each output folder,
and beside it DVC's list of its files. `dvc.lock` has the MD5 of the list, and the list those of the files, so that all
mirrored bytes are checked.
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

from pipeline.runtime.errors import PipelineError, SourceError, one_line, without_secrets
from pipeline.runtime.resources import SMALL_OUTPUT, catch_disk_full, is_disk_full

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

DVC_LOCK = Path("dvc.lock")
LIST_SUFFIX = ".dir"  # suffix of a list's name, as in DVC's cache
ADVICE = "run `python -m pipeline mirror` where the data is"


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder on object storage."""

    url: str  # of any scheme of fsspec: `s3://bucket/shards`, `gs://`, `az://`, `memory://`
    md5s: Mapping[str, str] | None = field(default=None, compare=False, repr=False)
    """Expected hexadecimal MD5 by path; None if the reader checks files itself."""

    @property
    def name(self) -> str:
        """Last part of the path."""
        return str(self).rpartition("/")[2]

    def __str__(self) -> str:
        """Return the URL without secrets."""
        return without_secrets(self.url).rstrip("/")

    @contextmanager
    def open_local(self, name: str) -> Iterator[Path]:
        """Yield a temporary copy of a file; a `SourceError` if the store fails or the file has another MD5."""
        with TemporaryDirectory() as place:
            path = Path(place) / Path(name).name
            with open_store(self.url) as (store, folder), catch_disk_full(path.parent, SMALL_OUTPUT):
                store.get_file(f"{folder.rstrip('/')}/{name}", str(path))
            if self.md5s is not None and md5_of(path) != self.md5s.get(name):
                raise SourceError(f"{self}/{name}: bytes differ from dvc.lock; run `python -m pipeline mirror` anew")
            yield path


def md5_of(path: Path) -> str:
    """Return the hexadecimal MD5 of a file, as DVC records it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


Place: TypeAlias = Path | RemoteFolder  # a folder on this machine or on object storage


def place_of(folder: Path | str) -> Place:
    """Return the folder that a path or a URL names."""
    return RemoteFolder(folder) if isinstance(folder, str) and "://" in folder else Path(folder)


def in_mirror(folder: Path, mirror: str | None) -> Place:
    """Return the copy of an output folder below the URL `mirror`; the folder itself if there is no mirror."""
    return folder if mirror is None else RemoteFolder(f"{mirror.rstrip('/')}/{folder.as_posix()}")


def open_local(place: Place, name: str) -> AbstractContextManager[Path]:
    """Yield a path on this machine of a file of a folder; a local file is not copied, and may be absent."""
    return place.open_local(name) if isinstance(place, RemoteFolder) else nullcontext(place / name)


@contextmanager
def open_store(url: str) -> Iterator[tuple["AbstractFileSystem", str]]:
    """Yield the store of a URL and the path within it."""
    import fsspec  # noqa: PLC0415 - needed for object storage alone

    try:
        yield fsspec.core.url_to_fs(url)
    except (PipelineError, FileNotFoundError):
        raise
    except Exception as error:
        if is_disk_full(error):
            raise
        raise store_error(url, error) from error


def store_error(url: str, error: Exception) -> SourceError:
    """Return the error of a store that failed."""
    return SourceError(
        f"{without_secrets(url)}: {one_line(error)}; check the URL, the credentials and the network (S3 not by Amazon: "
        "set AWS_ENDPOINT_URL), and run the same command again to go on"
    )


def local_or_mirror(folder: Path, mirror: str | None) -> Place:
    """Return an output folder if it is here, else its copy in the mirror, checked against `dvc.lock`."""
    if mirror is None or folder.exists():
        return folder
    copy = f"{mirror.rstrip('/')}/{folder.as_posix()}"
    return RemoteFolder(copy, read_list(folder, mirror, recorded_md5s().get(folder.as_posix())))


def read_list(folder: Path, mirror: str, md5: str | None) -> dict[str, str]:
    """Return the MD5 of each file of a mirrored folder by path; a `SourceError` if no list has the MD5 `md5`."""
    copy = in_mirror(folder, mirror)
    try:
        with open_local(in_mirror(folder.parent, mirror), f"{folder.name}{LIST_SUFFIX}") as path:
            content = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"{copy}: is not there as a whole; {ADVICE}") from error
    if md5_of_list(content) != md5:
        advice = f"{ADVICE}, or take the commit it was made from"
        raise SourceError(f"{copy}: is another one than {DVC_LOCK} names; {advice}")
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def list_of(md5s: Mapping[str, str]) -> bytes:
    """Return DVC's list of files, byte for byte, from MD5 by path."""
    return json.dumps([{"md5": md5s[path], "relpath": path} for path in sorted(md5s)], sort_keys=True).encode()


def md5_of_list(content: bytes) -> str:
    """Return the hash of a list, as in `dvc.lock`."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest() + LIST_SUFFIX


def recorded_md5s() -> dict[str, str]:
    """Return the MD5 of every output in `dvc.lock`, by path; raise `SourceError` if it is absent or damaged."""
    try:
        stages = YAML(typ="safe").load(DVC_LOCK)["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ())}
    except (OSError, YAMLError, KeyError, TypeError, AttributeError) as error:
        advice = "take it from git: it says what a mirror must hold"
        raise SourceError(f"{DVC_LOCK}: absent or damaged; {advice}") from error
