"""What a killed run has finished, seen from outside: the notes of finished files and the epochs of checkpoints."""

import re
from pathlib import Path
from typing import NamedTuple

import torch

from pipeline.runtime.resumable import DONE

GOES_ON = re.compile(r"train \S+: goes on after epoch (\d+) of \d+")


class Epochs(NamedTuple):
    """An unfinished training."""

    done: int
    """Finished epochs."""
    made: int
    """When its checkpoint was written, in nanoseconds."""


class Finished(NamedTuple):
    """Finished work that DVC has not recorded, so that it must neither be lost nor done again."""

    files: dict[Path, tuple[int, int]]
    """Inode and time of the note of every finished file of masks or shards; a second making would write another."""
    trainings: dict[Path, Epochs]
    """Unfinished trainings by checkpoint."""


def finished(checkout: Path) -> Finished:
    """Return what lies finished in a checkout while nothing runs there."""
    folders = [path for path in sorted((checkout / ".unfinished").glob("*-*/")) if not _recorded(path, checkout)]
    notes = [note for folder in folders for note in sorted(folder.glob("finished/*.parquet.json"))]
    checkpoints = [path for folder in folders for path in folder.glob("checkpoint.pt")]
    return Finished(
        files={note: (note.stat().st_ino, note.stat().st_mtime_ns) for note in notes if note.stat().st_size},
        trainings={
            path: Epochs(torch.load(path, weights_only=True)["epoch"], path.stat().st_mtime_ns) for path in checkpoints
        },
    )


def _recorded(folder: Path, checkout: Path) -> bool:
    mark, record = folder / DONE, checkout / "dvc.lock"
    return mark.exists() and record.exists() and record.stat().st_mtime_ns > mark.stat().st_mtime_ns


def done_twice(before: Finished, after: Finished, output: str) -> list[str]:
    """Name the files and epochs finished before a run that it finished once more.

    Args:
        before: State at its start.
        after: State at its end.
        output: What it printed.
    """
    files = [note.name for note, made in before.files.items() if after.files.get(note, made) != made]
    went_on = {int(epoch) for epoch in GOES_ON.findall(output)}
    epochs = [
        f"{training.done} epochs"
        for path, training in before.trainings.items()
        if training.done not in went_on and after.trainings.get(path) != training
    ]
    return files + epochs
