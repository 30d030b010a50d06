"""What is said of files and folders on a command line before anything slow is imported."""

import os
from pathlib import Path

from pipeline.errors import ManifestError, ParamsError
from pipeline.params.commands import dvc_command

RUN_CARD, WEIGHTS = "run.json", "model.safetensors"
RUNS = Path("data/runs")
"""Where the graph writes runs."""


def check_run(folder: Path, option: str = "--run") -> None:
    """See to it that a folder holds a finished run.

    Args:
        folder: As typed.
        option: What named it, for the message.

    Raises:
        ManifestError: If it holds none, for instance because it holds several in folders of their own.
    """
    card = folder / RUN_CARD
    if card.is_file() and (folder / WEIGHTS).is_file():
        return
    runs = sorted(path.parent.name for path in folder.glob(f"*/{RUN_CARD}")) if folder.is_dir() else []
    if runs:
        raise ManifestError(
            f"{option} {folder}: a folder of {len(runs)} runs, not a run; name one, for instance {folder / runs[0]}"
        )
    if not folder.is_dir():
        said = f"{folder}: {'a file' if folder.exists() else 'no such folder'}"
    else:
        said = f"{folder / WEIGHTS if card.is_file() else card}: absent"
    made = f"; {dvc_command(f'train@{folder.name}')} makes it" if folder.parent == RUNS else ""
    raise ManifestError(
        f"{option} {said}; name the folder of a finished run, for instance {RUNS / 'vit+vit-all'}{made}"
    )


def check_output(folder: Path) -> None:
    """See to it that a folder can be written to, before anything is computed for it.

    Raises:
        ParamsError: If it, or the nearest folder above it that exists, is a file or closed to this user.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ParamsError(f"--out {folder}: {place} is a file; name a folder")
    if not os.access(place, os.W_OK):
        raise ParamsError(f"--out {folder}: {place} cannot be written by this user; name another folder")
