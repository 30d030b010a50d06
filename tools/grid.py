"""Runs of the grid side by side, each in a working copy that shares DVC's cache: `make grid GPUS=0,1`, or `JOBS=4`.

First the study makes data and weights, then every working copy takes the next run, and last the study collects the
results from the run cache. Interrupted, or after a failure, the same command goes on where it stopped.
"""

import argparse
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from pipeline.runtime.console import run_stage
from pipeline.runtime.resumable import resumable_root
from pipeline.runtime.times import RECORDS, format_seconds
from pipeline.steps.schedule import cache_folder, plan_stages
from tools.working_copy import copy_files, share_cache

PLACE = Path(".unfinished/grid")
KINDS = (("train",), ("evaluate", "perturb", "explain", "repeat"))
"""Stages of a run: the second ones need the ambiguous pair, which one of the first gives."""
SECONDS_BETWEEN_LINES = 60.0
INTERRUPTED = 130


class Slot(NamedTuple):
    """A place for one run at a time."""

    name: str
    gpu: str | None
    """Value of `CUDA_VISIBLE_DEVICES`; None leaves it."""

    @property
    def copy(self) -> Path:
        """Working copy."""
        return PLACE / self.name


def slots_of(gpus: Sequence[str], jobs: int) -> list[Slot]:
    """Return `jobs` places on each GPU, or `jobs` without GPUs."""
    return [Slot(f"gpu{gpu}-{n}", gpu) for n in range(jobs) for gpu in gpus] or [
        Slot(f"job{n}", None) for n in range(jobs)
    ]


def make_copy(folder: Path) -> None:
    """Make or refresh a working copy with the study's cache."""
    copy_files(folder, without=())
    share_cache(folder, cache_folder().resolve())


def make_root(folder: Path) -> None:
    """Make the folder of a run's unfinished work, with which it goes on in any place; what else lies there is ours."""
    for shared in (RECORDS.parent, resumable_root() / "hashes"):
        shared.mkdir(parents=True, exist_ok=True)
        (folder / shared).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / shared).is_symlink():
            (folder / shared).symlink_to(shared.resolve())


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Grid:
    """Runs on their places, and what became of them."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        """Prepare the places."""
        self.slots = slots
        self.running: dict[Slot, tuple[str, subprocess.Popen[bytes], Path]] = {}
        self.done: list[list[str]] = []
        self.failed: list[str] = []
        self.stopping = False

    def run(self, jobs: Sequence[tuple[str, list[str]]]) -> None:
        """Run jobs, each a name and its stages, on all places; a failure stops no other."""
        waiting: queue.SimpleQueue[tuple[str, list[str]]] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        workers = [threading.Thread(target=self._work, args=(slot, waiting)) for slot in self.slots[: len(jobs)]]
        for worker in workers:
            worker.start()
        shown = time.monotonic()
        while any(worker.is_alive() for worker in workers):
            time.sleep(0.2)
            if time.monotonic() - shown > SECONDS_BETWEEN_LINES:
                shown = time.monotonic()
                for slot, (name, _, log) in list(self.running.items()):
                    _say(f"  {slot.name}: {name}: {last_line(log)}")
        if self.stopping:
            _say("interrupted; run the same command again to go on")
            sys.exit(INTERRUPTED)

    def _work(self, slot: Slot, waiting: "queue.SimpleQueue[tuple[str, list[str]]]") -> None:
        while not self.stopping:
            try:
                name, stages = waiting.get_nowait()
            except queue.Empty:
                return
            make_copy(slot.copy)
            log, root, started = PLACE / f"{name}.log", PLACE / name, time.monotonic()
            make_root(root)
            env = os.environ | {"DVC_ROOT": str(root.resolve())}
            if slot.gpu is not None:
                env["CUDA_VISIBLE_DEVICES"] = slot.gpu
            with log.open("ab") as file:  # a session of its own: Ctrl-C is passed on once, by `stop`
                process = subprocess.Popen(  # noqa: S603
                    ["dvc", "repro", *stages],  # noqa: S607 - of this environment
                    cwd=slot.copy, env=env, stdout=file, stderr=file, start_new_session=True,
                )  # fmt: skip
            self.running[slot] = (name, process, log)
            _say(f"{slot.name}: {name} started; {log}")
            if self.stopping:
                os.killpg(process.pid, signal.SIGINT)
            status = process.wait()
            del self.running[slot]
            if status == 0:
                self.done.append(stages)
                shutil.rmtree(root)
            elif not self.stopping:
                self.failed.append(name)
            result = "done" if status == 0 else "interrupted" if self.stopping else f"FAILED: {last_line(log)}"
            counts = f"{len(self.done)} done, {len(self.failed)} failed, {waiting.qsize()} waiting"
            _say(f"{slot.name}: {name} {result} after {format_seconds(time.monotonic() - started)} ({counts})")

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """Interrupt every run, which leaves its checkpoint, and start no other."""
        self.stopping = True
        for _, process, _ in list(self.running.values()):
            os.killpg(process.pid, signal.SIGINT)


def _say(line: str) -> None:
    print(line, flush=True)


def _repro(*targets: str) -> int:
    return subprocess.run(["dvc", "repro", *targets], check=False).returncode  # noqa: S603, S607


def jobs_of(kinds: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return what is left to run of some kinds of stages: the stages of each run, longest first."""
    plans = plan_stages()
    by_run: dict[str, list[str]] = {}
    for name, plan in plans.items():
        kind, _, run = name.partition("@")
        if kind in kinds and plan.does == "run":
            by_run.setdefault(run, []).append(name)
    expected = {run: sum(plans[name].seconds or 0.0 for name in stages) for run, stages in by_run.items()}
    ordered = sorted(by_run, key=lambda run: -expected[run])
    return [(f"{'-'.join(kinds[:1])}-{run}", by_run[run]) for run in ordered]


def main() -> None:
    """Make data and weights, run the grid, collect; the status is 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", default="", help="GPUs by number, for instance 0,1,2,3")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, on each GPU if GPUs are named")
    options = parser.parse_args()
    grid = Grid(slots_of([gpu for gpu in options.gpus.split(",") if gpu], options.jobs))
    if _repro("weights", "pair"):
        sys.exit(1)
    before = [signal.signal(number, grid.stop) for number in (signal.SIGINT, signal.SIGTERM)]
    for number, kinds in enumerate(KINDS):
        if number and not grid.failed and _repro("ambiguous"):
            sys.exit(1)
        jobs = jobs_of(kinds)
        _say(f"{len(jobs)} runs to {kinds[0]}, {len(grid.slots)} at once")
        grid.run(jobs)
        if grid.failed:
            break
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)
    if grid.failed:
        if grid.done:
            _repro(*(stage for stages in grid.done for stage in stages))
        _say(f"failed: {', '.join(grid.failed)}; their logs are in {PLACE}; run the same command again to go on")
        sys.exit(1)
    status = _repro()
    if status == 0:
        shutil.rmtree(PLACE, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    run_stage(main)
