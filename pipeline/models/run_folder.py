"""Where a finished run lies, and what to say where none does; without torch, which takes seconds to import."""

import difflib
from pathlib import Path

from pipeline.errors import ManifestError, counted
from pipeline.models.card import WEIGHTS
from pipeline.params.commands import dvc_command
from pipeline.params.run_name import RUN_NAME

RUN_CARD = "run.json"
"""File that says what a run is, beside its weights."""


def check_run(folder: Path, option: str = "--run") -> None:
    """See to it that a folder holds a finished run.

    Args:
        folder: As typed.
        option: What named it, for the message.

    Raises:
        ManifestError: If it holds none, for instance because it holds several in folders of their own.
    """
    if not ((folder / RUN_CARD).is_file() and (folder / WEIGHTS).is_file()):
        raise no_run(folder, f"{option} ")


def no_run(folder: Path, named: str = "") -> ManifestError:
    """Return the error for a folder that holds no finished run.

    Args:
        folder: The folder.
        named: What to say before it.
    """
    if runs := _runs_in(folder):
        held = f"a folder of {counted(len(runs), 'run')}, not a run; name one, for instance {folder / runs[0]}"
        return ManifestError(f"{named}{folder}: {held}")
    absent = folder / (WEIGHTS if (folder / RUN_CARD).is_file() else RUN_CARD)
    said = f"{absent}: absent" if folder.is_dir() else f"{folder}: {'a file' if folder.exists() else 'no such folder'}"
    near = difflib.get_close_matches(folder.name, _runs_in(folder.parent), n=1, cutoff=0.85)
    meant = f" (did you mean {folder.parent / near[0]}?)" if near else ""
    return ManifestError(f"{named}{said}{meant}; {remedy(folder)}")


def _runs_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"*/{RUN_CARD}"))


def remedy(folder: Path, *, again: bool = False) -> str:
    """Say what to do about a run that is not there or damaged, going by where it lies."""
    stage = _stage_of(folder)
    if stage is None:
        return f"name the folder of a finished run, which holds {RUN_CARD} and {WEIGHTS}"
    return f"run {dvc_command(stage, again=again)}" + " or `dvc pull`" * (not again)


def _stage_of(folder: Path) -> str | None:
    """Return the DVC stage that makes a run, going by where it lies; None where no stage writes."""
    if folder.parent.name == "repeats":
        return f"repeat@{folder.name}"
    if folder.parent.parent.name == "distilled":
        return f"distill@{folder.parent.name}"
    if folder.parent.name == "runs" and RUN_NAME.fullmatch(folder.name):
        return f"train@{folder.name}"
    return None
