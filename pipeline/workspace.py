"""Places for unfinished work: they outlive an interruption, while DVC wipes a stage's outputs before every run."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import BusyError


def unfinished_root() -> Path:
    """Return the folder for unfinished work of this checkout.

    `DVC_ROOT` names the user's checkout even in the copies that `dvc exp run --temp` makes.
    """
    return Path(os.environ.get("DVC_ROOT", ".")) / ".unfinished"


@contextmanager
def unfinished(stage: str, *identity: str) -> Iterator[Path]:
    """Lend the folder where `stage` may keep partial results until the work is done.

    The folder is keyed by everything that defines the result, so work of other parameters is never taken up.
    It survives an exception or a kill, and is removed when the block ends without one.

    Args:
        stage: Name of the stage, for the reader of the folder listing.
        identity: Settings hashes and input hashes that together define the result.

    Raises:
        BusyError: If another process holds the folder.
    """
    key = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]
    folder = unfinished_root() / f"{stage}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (unfinished_root() / f"{stage}-{key}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{folder}: another process is at work here; wait for it or stop it") from error
        yield folder
        shutil.rmtree(folder)


def publish(folder: Path, destination: Path) -> None:
    """Move a finished folder to its destination, replacing what is there.

    A rename where both are on one file system; `shutil.move` copies otherwise.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    if destination.exists():
        shutil.rmtree(destination)
    shutil.move(folder, destination)
