"""What actors are given in tests; a module of its own, since every actor imports it."""

import os
import signal
from pathlib import Path

from pipeline.runtime.errors import DatasetError


class Counter:
    """Says which process it is in, and how often it was called there."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.calls = 0

    def __call__(self, item: int) -> tuple[int, int, int]:
        """Return process, calls and item."""
        self.calls += 1
        return os.getpid(), self.calls, item


def refuse(item: int) -> int:
    """Fail as a damaged photo does."""
    raise DatasetError(f"photo {item}: damaged; replace it")


def die(_: int) -> int:
    """Take the actor along."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def die_at_first(folder: Path, item: int) -> int:
    """Take the actor along the first time that one of two items comes, and refuse item 3."""
    if item == 3:
        refuse(item)
    mark = folder / str(item)
    if item < 2 and not mark.exists():
        mark.touch()
        die(item)
    return -item


def meet(fifo: Path, item: int) -> int:
    """Wait for whoever has the other item, of 0 and 1."""
    fifo.open("r" if item else "w").close()
    return item


def visible_gpus(_: int) -> str:
    """Return what CUDA would find."""
    return os.environ["CUDA_VISIBLE_DEVICES"]
