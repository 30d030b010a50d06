"""`dvc repro` as a tree of processes: watch it, kill a part of it without warning, and see who is left."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil

RUNNING = re.compile(r"Running stage '([^']+)'")
PATIENCE = 600.0
"""Seconds after which a process that should end by itself counts as left over."""
POLL = 0.02


class Repro:
    """One `dvc repro` under way; what it prints goes to a file, so that no pipe keeps anybody waiting."""

    def __init__(self, folder: Path, env: dict[str, str], log: Path, *targets: str) -> None:
        """Start it in `folder`."""
        self.folder, self.log = folder, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603
                ["dvc", "repro", *targets],  # noqa: S607
                cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def output(self) -> str:
        """Return what has been printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stage(self) -> str:
        """Return the stage that was started last; `start` before the first."""
        return (["start", *RUNNING.findall(self.output())])[-1]

    def wait_for(self, sign: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Wait until `sign()`; return False if time or the process ended before."""
        ends = time.monotonic() + seconds
        while not sign():
            if self.process.poll() is not None or time.monotonic() > ends:
                return False
            time.sleep(POLL)
        return True

    def kill(self, victim: str, dice: Random) -> str:
        """Kill `all` processes at once, `dvc` alone, or `one` of the tree; return the name of who was hit."""
        if victim == "all":
            os.killpg(self.process.pid, signal.SIGKILL)
            return "all"
        tree = [psutil.Process(self.process.pid)]
        if victim == "one":
            tree = tree[0].children(recursive=True) or tree
        hit = dice.choice(tree)
        with suppress(psutil.Error):  # it may end by itself at this very moment
            name = " ".join(hit.cmdline()[1:4]) or hit.name()
            hit.kill()
            return name
        return "one that had just ended"


def left_over(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a checkout."""
    return [process for process in psutil.process_iter() if _works_in(process, folder)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder
    except (psutil.Error, OSError):
        return False


def outlived(folder: Path, seconds: float = PATIENCE) -> Iterator[str]:
    """Wait for the processes of a checkout to end; kill those that do not, and yield their command lines."""
    ends = time.monotonic() + seconds
    while (left := left_over(folder)) and time.monotonic() < ends:
        time.sleep(POLL * 10)
    for process in left:
        yield " ".join(process.cmdline())
        process.kill()
