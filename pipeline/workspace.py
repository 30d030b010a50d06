"""Places for unfinished work: they outlive an interruption, while DVC wipes a stage's outputs before every run."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.claims import claimed
from pipeline.errors import BusyError

DVC_STAGE = "DVC_STAGE"
"""Variable in which DVC names the stage it runs."""
CLAIMED = "RVERNET_CLAIMED"
"""Variable in which a stage tells the processes it starts that it holds the claim for them."""
DONE = "done"
"""Mark of work that is finished and published, but perhaps not yet recorded by DVC."""
RECORD = Path("dvc.lock")
"""Where DVC records a finished stage, some time after its process has ended."""
CODE = Path("data/code")
"""Where stage `configure` lists the files that each stage can import."""
ROOT = Path(__file__).parents[1]
OURS = ("pipeline", "stages")
"""Packages of this project below `ROOT`."""


def unfinished_root() -> Path:
    """Return the folder for unfinished work of this checkout.

    `DVC_ROOT` names the user's checkout even in the copies that `dvc exp run --temp` makes.
    """
    return Path(os.environ.get("DVC_ROOT", ".")) / ".unfinished"


@contextmanager
def stage_claimed() -> Iterator[None]:
    """Keep every other process off the outputs of the stage that DVC runs here; does nothing outside of DVC.

    A DVC that is killed leaves its stage running. The next `dvc repro` must not start a second writer beside it.

    Raises:
        BusyError: If another process runs the same stage in this checkout.
    """
    stage = os.environ.get(DVC_STAGE)
    if stage is None or os.environ.get(CLAIMED) == stage:
        yield
        return
    with claimed(Path(".unfinished/stages") / f"{stage}.lock", f"stage {stage}"):
        sweep()
        yield


@contextmanager
def unfinished(stage: str, *identity: str) -> Iterator[Path]:
    """Lend the folder where `stage` may keep partial results until the work is done.

    The folder is keyed by everything that defines the result, the code included, so work of other parameters is never
    taken up. It survives an exception or a kill. Once the block ends without one it is removed; under DVC not before
    DVC has recorded the stage, since a kill before that makes DVC wipe the outputs and run the stage again.

    Args:
        stage: Name of the stage, for the reader of the folder listing.
        identity: Settings hashes and input hashes that together define the result.

    Raises:
        BusyError: If another process holds the folder.
    """
    sweep()
    key = hashlib.sha256("\n".join([*identity, code_sha256(stage)]).encode()).hexdigest()[:16]
    folder = unfinished_root() / f"{stage}-{key}"
    with claimed(_lock(folder), str(folder)):
        folder.mkdir(exist_ok=True)
        (folder / DONE).unlink(missing_ok=True)
        yield folder
        if DVC_STAGE in os.environ:
            (folder / DONE).touch()
        else:
            shutil.rmtree(folder)


def code_sha256(stage: str) -> str:
    """Return a hash of the code that can change what a stage makes, as it is now.

    That is its import closure, which stage `configure` listed: modules are imported late, inside the work. Where there
    is no list, all of this project's code counts.
    """
    listed = CODE / f"{os.environ.get(DVC_STAGE, stage).partition('@')[0]}.json"
    files = json.loads(listed.read_bytes()) if listed.is_file() else _all_code()
    digest = hashlib.sha256()
    for name in sorted(files):
        path = ROOT / name
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def _all_code() -> list[str]:
    return [path.relative_to(ROOT).as_posix() for package in OURS for path in (ROOT / package).rglob("*.py")]


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def sweep() -> None:
    """Remove finished work that DVC has recorded since.

    The record's time tells it. Stage `configure` comes first whenever DVC runs, and DVC then writes the record anew:
    what was not recorded by now, because DVC was killed, becomes unfinished work.
    """
    for mark in sorted(unfinished_root().glob(f"*/{DONE}")):
        with suppress(BusyError), claimed(_lock(mark.parent), str(mark.parent)):
            if not mark.exists():
                continue
            if RECORD.exists() and RECORD.stat().st_mtime_ns > mark.stat().st_mtime_ns:
                shutil.rmtree(mark.parent)
            elif os.environ.get(DVC_STAGE) == "configure":
                mark.unlink()


def publish(folder: Path, destination: Path) -> None:
    """Put the files of a finished folder where they belong, replacing what is there; the folder keeps them too.

    Hard links where both are on one file system, copies otherwise. Nothing may be written into either side's files.
    """
    if destination.exists():
        shutil.rmtree(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, destination, copy_function=_link)


def _link(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)
