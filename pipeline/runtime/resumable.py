"""Folders for unfinished work, which survive an interruption: DVC deletes a stage's outputs before every run."""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.runtime import code_hash
from pipeline.runtime.errors import BusyError

DVC_STAGE = "DVC_STAGE"  # environment variable with the stage that DVC runs
LOCK_HOLDER = "RVERNET_CLAIMED"  # environment variable that tells child processes of a stage that it holds the lock
DONE = "done"  # marker file of work that is published but perhaps not yet recorded by DVC
DVC_LOCK = Path("dvc.lock")  # DVC records a finished stage here, some time after its process has ended
CODE_LISTS = Path("data/code")  # import closures of all stages, written by stage `configure`
ROOT = Path(__file__).parents[2]


def resumable_root() -> Path:
    """Return the folder for unfinished work, of the user's checkout also under `dvc exp run --temp`."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".unfinished"


def hash_cache(name: str) -> Path:
    """Return the file that keeps hashes of one kind; see `read_cache`."""
    return resumable_root() / f"hashes/{name}.json"


def read_cache(path: Path) -> dict[str, Any]:
    """Return what `write_cache` wrote there; nothing if the file is absent or damaged."""
    kept: dict[str, Any] = {}
    with suppress(FileNotFoundError, ValueError):
        kept = json.loads(path.read_bytes())
    return kept


def write_cache(path: Path, kept: Mapping[str, Any]) -> None:
    """Write a JSON file of which another process sees the old or the new content whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(kept), encoding="utf-8")
    part.replace(path)


def code_hashes(modules: Iterable[Path]) -> dict[Path, str]:
    """Return `code_sha256` of modules, without those that are empty: package markers, which change no result.

    Hashes are kept by content, so only edited modules are parsed.

    Raises:
        SyntaxError: If a module is not Python.
    """
    rule, cache = Path(code_hash.__file__).read_bytes(), hash_cache("code")
    contents = {path: content for path in modules if (content := path.read_bytes())}
    keys = {path: hashlib.sha256(rule + content).hexdigest() for path, content in contents.items()}
    known = read_cache(cache)
    new = {key: code_hash.code_sha256(contents[path]) for path, key in keys.items() if key not in known}
    if new:
        known |= new
        write_cache(cache, known)
    return {path: known[key] for path, key in keys.items()}


@contextmanager
def file_lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock while the block runs; the operating system releases it when the process ends or is killed.

    The file is created if absent, never removed, and holds process and host of the last holder.

    Raises:
        BusyError: If that one still holds the lock of `what`, which the message names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path, blocking=False, fallback_to_soft=False).acquire()
    except Timeout as error:
        process, _, host = path.read_text("utf-8").partition(" ")
        advice = f" ({process} on {host}); wait for it, or stop it by `kill {process}`" if process else "; wait for it"
        raise BusyError(f"{what}: another process is at work here{advice}, then run the same command again") from error
    with held:
        path.write_text(f"{os.getpid()} {platform.node()}", encoding="utf-8")
        yield


@contextmanager
def stage_lock() -> Iterator[None]:
    """Lock the stage that DVC runs here; does nothing outside of DVC.

    A killed DVC leaves its stage running, and the next `dvc repro` must not start a second writer.
    """
    stage = os.environ.get(DVC_STAGE)
    if stage is None or os.environ.get(LOCK_HOLDER) == stage:
        yield
        return
    with file_lock(Path(".unfinished/stages") / f"{stage}.lock", f"stage {stage}"):
        remove_recorded()
        yield


@contextmanager
def resumable_dir(stage: str, *identity: str) -> Iterator[Path]:
    """Yield the folder in which `stage` keeps partial results until the work is done.

    Its name ends with a hash of everything that defines the result, the hashes `identity` of settings and inputs and
    the code, so work of other parameters is never resumed. It survives an exception or a kill, and is removed when the
    block ends without one; under DVC only after DVC has recorded the stage, since a kill before that makes DVC delete
    the outputs and run the stage again.
    """
    remove_recorded()
    key = hashlib.sha256("\n".join([*identity, _stage_code(stage)]).encode()).hexdigest()[:16]
    folder = resumable_root() / f"{stage}-{key}"
    with file_lock(Path(f"{folder}.lock"), str(folder)):
        folder.mkdir(exist_ok=True)
        (folder / DONE).unlink(missing_ok=True)
        yield folder
        if DVC_STAGE in os.environ:
            (folder / DONE).touch()
        else:
            shutil.rmtree(folder)


def _stage_code(stage: str) -> str:
    """Return a hash of the code that decides a stage's result: the files listed by `configure`, else all code."""
    listed = CODE_LISTS / f"{os.environ.get(DVC_STAGE, stage).partition('@')[0]}.json"
    if listed.is_file():
        files = json.loads(listed.read_bytes())
    else:
        files = [
            path.relative_to(ROOT).as_posix() for folder in code_hash.PROJECT for path in (ROOT / folder).rglob("*.py")
        ]
    hashes = code_hashes(filter(Path.is_file, (ROOT / name for name in files)))
    listing = "".join(f"{name} {hashes.get(ROOT / name, 'absent')}\n" for name in sorted(files))
    return hashlib.sha256(listing.encode()).hexdigest()


def remove_recorded() -> None:
    """Remove finished work that DVC has recorded since, by the time of `dvc.lock`.

    Stage `configure` runs first whenever DVC runs, and DVC then rewrites `dvc.lock`: work that is still not recorded
    by then, because DVC was killed, counts as unfinished again.
    """
    for mark in sorted(resumable_root().glob(f"*/{DONE}")):
        with suppress(BusyError), file_lock(Path(f"{mark.parent}.lock"), str(mark.parent)):
            if not mark.exists():
                continue
            if DVC_LOCK.exists() and DVC_LOCK.stat().st_mtime_ns > mark.stat().st_mtime_ns:
                shutil.rmtree(mark.parent)
            elif os.environ.get(DVC_STAGE) == "configure":
                mark.unlink()


def publish(folder: Path, destination: Path) -> None:
    """Replace `destination` by the files of a finished folder: hard links on one file system, else copies.

    Nothing may be written into either side's files afterwards.
    """
    if destination.exists():
        shutil.rmtree(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)

    shutil.copytree(folder, destination, copy_function=link)
