"""Places for unfinished work: they outlive an interruption, while DVC wipes a stage's outputs before every run."""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.runtime.errors import BusyError

DVC_STAGE = "DVC_STAGE"
"""Variable in which DVC names the stage it runs."""
CLAIMED = "RVERNET_CLAIMED"
"""Variable in which a stage tells the processes it starts that it holds the lock for them."""
DONE = "done"
"""Mark of work that is finished and published, but perhaps not yet recorded by DVC."""
RECORD = Path("dvc.lock")
"""Where DVC records a finished stage, some time after its process has ended."""
CODE = Path("data/code")
"""Where stage `configure` lists the files that each stage can import."""
ROOT = Path(__file__).parents[2]
OURS = ("pipeline", "stages")
"""Packages of this project below `ROOT`."""


def resumable_root() -> Path:
    """Return the folder for unfinished work of this checkout.

    `DVC_ROOT` names the user's checkout even in the copies that `dvc exp run --temp` makes.
    """
    return Path(os.environ.get("DVC_ROOT", ".")) / ".unfinished"


@contextmanager
def file_lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock while the block runs; the operating system releases it when the process ends, however it ends.

    Args:
        path: Lock file; made if absent, never removed, holds the process and the host that took the lock last.
        what: Result that is locked, for the message.

    Raises:
        BusyError: If another process holds the lock; the message names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path, blocking=False, fallback_to_soft=False).acquire()
    except Timeout as error:
        raise BusyError(f"{what}: another process is at work here{_advice(path.read_text('utf-8'))}") from error
    with held:
        path.write_text(f"{os.getpid()} {platform.node()}", encoding="utf-8")
        yield


def _advice(holder: str) -> str:
    process, _, host = holder.partition(" ")
    if not process:
        return "; wait for it, then run the same command again"
    return f" ({process} on {host}); wait for it, or stop it by `kill {process}`, then run the same command again"


@contextmanager
def stage_lock() -> Iterator[None]:
    """Keep every other process off the outputs of the stage that DVC runs here; does nothing outside of DVC.

    A DVC that is killed leaves its stage running. The next `dvc repro` must not start a second writer beside it.

    Raises:
        BusyError: If another process runs the same stage in this checkout.
    """
    stage = os.environ.get(DVC_STAGE)
    if stage is None or os.environ.get(CLAIMED) == stage:
        yield
        return
    with file_lock(Path(".unfinished/stages") / f"{stage}.lock", f"stage {stage}"):
        sweep()
        yield


@contextmanager
def resumable_dir(stage: str, *identity: str) -> Iterator[Path]:
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
    folder = resumable_root() / f"{stage}-{key}"
    with file_lock(_lock(folder), str(folder)):
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
    for mark in sorted(resumable_root().glob(f"*/{DONE}")):
        with suppress(BusyError), file_lock(_lock(mark.parent), str(mark.parent)):
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
