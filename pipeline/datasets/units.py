"""Planned files made by several processes, each exactly once, whatever interrupts the work in between."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from pipeline.datasets.plan import PlannedFile
from pipeline.manifest import FileEntry, sha256_of
from pipeline.parallel import map_ordered

FILES = "files"
FINISHED = "finished"

Planned = TypeVar("Planned", bound=PlannedFile)


def finish_files(
    write: Callable[[Planned, Path], None], planned: Iterable[Planned], folder: Path, *, workers: int
) -> Iterator[FileEntry]:
    """Yield the entry of every planned file, in order, once it lies in `folder/files`.

    A file finished by an earlier run is taken over if its bytes still have the SHA-256 noted then.

    Args:
        write: Writes a planned file to a path; picklable, and the bytes depend on the plan alone.
        planned: Files to make.
        folder: Work folder that outlives an interruption.
        workers: Processes.
    """
    for part in (FILES, FINISHED):
        (folder / part).mkdir(exist_ok=True)
    for torn in folder.glob("*.part"):
        torn.unlink()
    yield from map_ordered(partial(_finish, write, folder), planned, workers=workers)


def _finish(write: Callable[[Planned, Path], None], folder: Path, planned: Planned) -> FileEntry:
    path, note = folder / FILES / planned.name, folder / FINISHED / f"{planned.name}.json"
    noted = _noted(note)
    if noted is not None and path.is_file() and sha256_of(path) == noted.sha256:
        return noted
    unnamed = folder / f"{planned.name}.{os.getpid()}.part"  # a killed run's last worker may still hold its own
    write(planned, unnamed)
    entry = FileEntry(name=planned.name, split=planned.split, rows=len(planned.samples), sha256=sha256_of(unnamed))
    unnamed.replace(path)
    note.write_text(entry.model_dump_json(), encoding="utf-8")
    return entry


def _noted(note: Path) -> FileEntry | None:
    try:
        return FileEntry.model_validate_json(note.read_bytes())
    except (FileNotFoundError, ValidationError):  # a note cut short by the interruption counts as none
        return None
