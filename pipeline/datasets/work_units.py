"""Files of masks and shards as independent units of work: planned first, then made once each, resumably."""

import os
import platform
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, groupby, islice
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from pipeline.datasets.index import Sample
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.manifest import FileEntry, sha256_of
from pipeline.runtime.parallel import map_ordered
from pipeline.runtime.ray_pool import Cluster

FILES = "files"
FINISHED = "finished"
TOKEN = "token"  # noqa: S105 - no secret
"""File in the work folder by which a worker on another machine tells whether it sees this very folder."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of masks or shards and the samples it will hold."""

    name: str  # `<split>-<number>.parquet`, numbered from 0 within the split
    split: str  # `train`, `validation` or `test`
    first_row: int  # row of its first sample within the split
    samples: tuple[Sample, ...]  # samples in table order; those of one photo are adjacent and in one file


Planned = TypeVar("Planned", bound=PlannedFile)


def plan_files(samples: Iterable[Sample], *, photos_per_file: int) -> Iterator[PlannedFile]:
    """Split a sample table into files of `photos_per_file` photos, streaming.

    Raises:
        DatasetError: If the samples of a split are not adjacent.
    """
    rows: Counter[str] = Counter()
    for split, of_split in groupby(samples, key=attrgetter("split")):
        if split in rows:
            raise DatasetError(f"samples of split {split!r} are not adjacent in the table; run `dvc repro -f index`")
        photos = group_by_photo(of_split)
        for number in count():
            held = tuple(sample for photo in islice(photos, photos_per_file) for sample in photo)
            if not held:
                break
            yield PlannedFile(f"{split}-{number:05d}.parquet", split, rows[split], held)
            rows[split] += len(held)


def group_by_photo(samples: Iterable[Sample]) -> Iterator[tuple[Sample, ...]]:
    """Yield the adjacent samples of each photo together."""
    for _, of_photo in groupby(samples, key=attrgetter("photo_id")):
        yield tuple(of_photo)


def finish_files(
    write: Callable[[Planned, Path], None],
    planned: Iterable[Planned],
    folder: Path,
    *,
    workers: int,
    cluster: Cluster | None = None,
) -> Iterator[FileEntry]:
    """Make every planned file in `folder/files`, which outlives an interruption; yield their entries in order.

    A file that an earlier run finished is kept if its SHA-256 has not changed.

    Args:
        write: Writes a planned file to a path; picklable, and the bytes depend on the plan alone.
        planned: Files to make.
        folder: Work folder.
        workers: Processes of this machine.
        cluster: Used instead of them. Its machines write into `folder` if they share it, else they send the bytes.
    """
    for part in (FILES, FINISHED):
        (folder / part).mkdir(exist_ok=True)
    for partial_file in folder.glob("*.part"):
        partial_file.unlink()
    if cluster is None:
        yield from map_ordered(partial(_finish, write, folder), planned, workers=workers)
        return
    token = secrets.token_hex()
    (folder / TOKEN).write_text(token, encoding="utf-8")
    remote = RemoteWriter(write, folder.resolve(), token)
    for result in cluster.map_ordered(remote.finish, ((file, _note(folder, file).is_file()) for file in planned)):
        yield remote.receive(result)


class RemoteResult(NamedTuple, Generic[Planned]):
    """A file made on a machine that does not share the work folder."""

    planned: Planned
    content: bytes | None  # None for a file that an earlier run finished


@dataclass(frozen=True, slots=True)
class RemoteWriter(Generic[Planned]):
    """Makes planned files on the machines of a cluster, which may not share the work folder."""

    write: Callable[[Planned, Path], None]
    folder: Path
    token: str

    def finish(self, task: tuple[Planned, bool]) -> FileEntry | RemoteResult[Planned]:
        """Make a file, on any machine; the task also tells whether an earlier run finished it."""
        planned, finished = task
        token = None
        with suppress(OSError):
            token = (self.folder / TOKEN).read_text(encoding="utf-8")
        if token == self.token:
            return _finish(self.write, self.folder, planned)
        if finished:
            return RemoteResult(planned, None)
        with TemporaryDirectory() as place:
            path = Path(place) / planned.name
            self.write(planned, path)
            return RemoteResult(planned, path.read_bytes())

    def receive(self, result: FileEntry | RemoteResult[Planned]) -> FileEntry:
        """Return the entry of a file, on the machine of the work folder, after writing sent bytes to it."""
        if isinstance(result, FileEntry):
            return result
        content = result.content
        write = self.write if content is None else lambda _, path: path.write_bytes(content)
        return _finish(write, self.folder, result.planned)


def _finish(write: Callable[[Planned, Path], None], folder: Path, planned: Planned) -> FileEntry:
    path, note = folder / FILES / planned.name, _note(folder, planned)
    noted = None
    with suppress(FileNotFoundError, ValidationError):  # an interruption may have cut the note short
        noted = FileEntry.model_validate_json(note.read_bytes())
    if noted is not None and path.is_file() and sha256_of(path) == noted.sha256:
        return noted
    # The name is unique: a killed run's last worker, or a machine that the cluster gave up, may still write its own.
    unnamed = folder / f"{planned.name}.{platform.node()}-{os.getpid()}.part"
    write(planned, unnamed)
    entry = FileEntry(name=planned.name, split=planned.split, rows=len(planned.samples), sha256=sha256_of(unnamed))
    unnamed.replace(path)
    note.write_text(entry.model_dump_json(), encoding="utf-8")
    return entry


def _note(folder: Path, planned: PlannedFile) -> Path:
    return folder / FINISHED / f"{planned.name}.json"
