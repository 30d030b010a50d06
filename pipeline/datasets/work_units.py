"""Planned files made by several processes, each exactly once, whatever interrupts the work in between."""

import os
import platform
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, groupby, islice
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

from pydantic import ValidationError

from pipeline.datasets.index import Sample
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.manifest import FileEntry, sha256_of
from pipeline.runtime.parallel import map_ordered
from pipeline.runtime.ray_pool import Cluster

# Which samples share a file, decided before any work, so that every file is an independent unit of it.


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file of masks or shards, and the samples it is going to hold."""

    name: str
    """`<split>-<number>.parquet`, numbered from 0 within the split."""
    split: str
    """`train` or `test`."""
    first_row: int
    """Row of its first sample, counted through the files of the split."""
    samples: tuple[Sample, ...]
    """Samples in the order of the table; those of one photo are adjacent and never in two files."""


def plan_files(samples: Iterable[Sample], *, photos_per_file: int) -> Iterator[PlannedFile]:
    """Cut a sample table into files of `photos_per_file` photos, streaming.

    Raises:
        DatasetError: If the samples of a split are not adjacent.
    """
    rows: Counter[str] = Counter()
    for split, of_split in groupby(samples, key=attrgetter("split")):
        if split in rows:
            raise DatasetError(f"samples of split {split!r} are not adjacent in the table; run `dvc repro -f index`")
        photos = by_photo(of_split)
        for number in count():
            held = tuple(sample for photo in islice(photos, photos_per_file) for sample in photo)
            if not held:
                break
            yield PlannedFile(f"{split}-{number:05d}.parquet", split, rows[split], held)
            rows[split] += len(held)


def by_photo(samples: Iterable[Sample]) -> Iterator[tuple[Sample, ...]]:
    """Yield the adjacent samples of each photo together."""
    for _, of_photo in groupby(samples, key=attrgetter("photo_id")):
        yield tuple(of_photo)


FILES = "files"
FINISHED = "finished"
TOKEN = "token"  # noqa: S105 - no secret
"""File in the work folder by which a worker on another machine tells whether it sees the very same folder."""

Planned = TypeVar("Planned", bound=PlannedFile)


def finish_files(
    write: Callable[[Planned, Path], None],
    planned: Iterable[Planned],
    folder: Path,
    *,
    workers: int,
    cluster: Cluster | None = None,
) -> Iterator[FileEntry]:
    """Yield the entry of every planned file, in order, once it lies in `folder/files`.

    A file finished by an earlier run is taken over if its bytes still have the SHA-256 noted then.

    Args:
        write: Writes a planned file to a path; picklable, and the bytes depend on the plan alone.
        planned: Files to make.
        folder: Work folder that outlives an interruption.
        workers: Processes.
        cluster: Does the work instead of processes of this machine. Its machines write into `folder` where they see
            it, and send the bytes here where they do not.
    """
    for part in (FILES, FINISHED):
        (folder / part).mkdir(exist_ok=True)
    for torn in folder.glob("*.part"):
        torn.unlink()
    if cluster is None:
        yield from map_ordered(partial(_finish, write, folder), planned, workers=workers)
        return
    work = RemoteWriter(write, folder.resolve(), _marked(folder))
    for done in cluster.map_ordered(work.finish, ((file, _note(folder, file).is_file()) for file in planned)):
        yield work.taken(done)


@dataclass(frozen=True, slots=True)
class RemoteResult(Generic[Planned]):
    """A file that was made where the work folder is not seen."""

    planned: Planned
    content: bytes | None
    """None for a file that an earlier run had finished."""


@dataclass(frozen=True, slots=True)
class RemoteWriter(Generic[Planned]):
    """What a worker on any machine needs to make planned files."""

    write: Callable[[Planned, Path], None]
    folder: Path
    token: str

    def finish(self, task: tuple[Planned, bool]) -> FileEntry | RemoteResult[Planned]:
        """Make a file, on any machine; the task says too whether an earlier run noted it as finished."""
        planned, noted = task
        if _read(self.folder / TOKEN) == self.token:
            return _finish(self.write, self.folder, planned)
        return RemoteResult(planned, None if noted else _made(self.write, planned))

    def taken(self, done: FileEntry | RemoteResult[Planned]) -> FileEntry:
        """Return the entry of a file, on the machine of the work folder, once it lies there with the right bytes."""
        if isinstance(done, FileEntry):
            return done
        return _finish(self.write if done.content is None else _Content(done.content).write, self.folder, done.planned)


@dataclass(frozen=True, slots=True)
class _Content:
    content: bytes

    def write(self, _: PlannedFile, path: Path) -> None:
        path.write_bytes(self.content)


def _made(write: Callable[[Planned, Path], None], planned: Planned) -> bytes:
    with TemporaryDirectory() as place:
        path = Path(place) / planned.name
        write(planned, path)
        return path.read_bytes()


def _marked(folder: Path) -> str:
    token = secrets.token_hex()
    (folder / TOKEN).write_text(token, encoding="utf-8")
    return token


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _finish(write: Callable[[Planned, Path], None], folder: Path, planned: Planned) -> FileEntry:
    path, note = folder / FILES / planned.name, _note(folder, planned)
    noted = _noted(note)
    if noted is not None and path.is_file() and sha256_of(path) == noted.sha256:
        return noted
    # A killed run's last worker may still hold its own, and so may a machine that a cluster has given up.
    unnamed = folder / f"{planned.name}.{platform.node()}-{os.getpid()}.part"
    write(planned, unnamed)
    entry = FileEntry(name=planned.name, split=planned.split, rows=len(planned.samples), sha256=sha256_of(unnamed))
    unnamed.replace(path)
    note.write_text(entry.model_dump_json(), encoding="utf-8")
    return entry


def _note(folder: Path, planned: PlannedFile) -> Path:
    return folder / FINISHED / f"{planned.name}.json"


def _noted(note: Path) -> FileEntry | None:
    try:
        return FileEntry.model_validate_json(note.read_bytes())
    except (FileNotFoundError, ValidationError):  # a note cut short by the interruption counts as none
        return None
