"""Kill `dvc repro` at random moments of every stage, go on, and compare what comes out with an undisturbed run."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.e2e.checkout import Checkout
from tests.torture.processes import Repro, outlived
from tests.torture.progress import done_twice, finished

VICTIMS = ("all", "all", "dvc", "one")
"""Whom a kill hits: the whole tree, as a power cut would, half of the time."""
SPARED = 0.35
"""Share of the stages' starts that are let through although their kind has not had its kills."""
HARMLESS = 15.0
"""Seconds that a run may go on after one process of its tree was killed."""
CUT_SHORT = re.compile(r"RWLock-file|dvc\.lock' (validation failed|is invalid)|corrupted|Could not find expected")
BUSY = re.compile(r"another process is at work here|is busy, it is being blocked by")


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run gives."""

    lock: dict[str, Any]
    """Outputs' hashes by stage."""
    seconds: dict[str, float]
    """Longest time between the start of a stage and that of the next, by kind of stage."""


@dataclass
class Kill:
    """One kill and what came of it."""

    round: int
    """Number of the way through the graph, from 1."""
    stage: str
    """Stage at work; `start` before the first."""
    victim: str
    """`all`, `dvc` or `one`."""
    hit: str
    """Command that was killed."""
    seconds: float
    """Time since the stage had been started."""
    mended: bool = False
    """Whether the next run needed `make mend`."""
    busy: bool = False
    """Whether the next run named a process in its way."""
    left: list[str] = field(default_factory=list)
    """Processes that went on for good."""
    twice: list[str] = field(default_factory=list)
    """Finished work that was done again."""
    wrong: list[str] = field(default_factory=list)
    """Stages whose hashes differ from the undisturbed run's."""
    error: str = ""
    """What the next run failed with beyond that."""

    def survived(self) -> bool:
        """Tell whether nothing was lost."""
        return not (self.left or self.twice or self.wrong or self.error)


def kind_of(stage: str) -> str:
    """Return the stage's name without the run or source."""
    return stage.partition("@")[0]


def recorded(copy: Checkout) -> dict[str, Any]:
    """Return the outputs' hashes by stage of those stages that DVC has recorded; nothing if its record is cut short."""
    try:
        text = (copy.folder / "dvc.lock").read_text(encoding="utf-8")
        return {name: stage["outs"] for name, stage in yaml.load(text, yaml.CSafeLoader)["stages"].items()}
    except (FileNotFoundError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}


def measure(copy: Checkout, log: Path, *targets: str) -> Reference:
    """Run the graph undisturbed."""
    repro, starts = Repro(copy.folder, copy.env, log, *targets), {"start": time.monotonic()}

    def ended() -> bool:
        starts.setdefault(repro.stage(), time.monotonic())
        return False

    repro.wait_for(ended)
    if repro.process.returncode:
        raise RuntimeError(f"the undisturbed run failed:\n{repro.output()[-3000:]}")
    times = [*starts.values(), time.monotonic()]
    seconds: dict[str, float] = {}
    for stage, before, after in zip(starts, times, times[1:], strict=False):
        seconds[kind_of(stage)] = max(after - before, seconds.get(kind_of(stage), 0))
    return Reference(recorded(copy), seconds)


class Round:
    """One way through the graph of an empty clone, with kills."""

    def __init__(self, copy: Checkout, reference: Reference, log: Path, number: int, seed: int) -> None:
        """Begin."""
        self.copy, self.reference, self.log, self.number = copy, reference, log, number
        self.dice = Random(f"{seed} {number}")  # noqa: S311 - moments, not secrets

    def kills(self, wanted: Callable[[str], bool], *targets: str) -> Iterator[Kill]:
        """Yield every kill once the runs after it have shown what came of it, until the graph is through.

        Args:
            wanted: Whether a kind of stage is still to have kills.
            targets: Stages to run; all by default.
        """
        last: Kill | None = None
        while True:
            unattended = last is not None and last.victim == "dvc" and not last.busy and self.dice.random() < 0.5
            left = [] if unattended else list(outlived(self.copy.folder))
            before = None if unattended else finished(self.copy.folder)
            repro = Repro(self.copy.folder, self.copy.env, self.log, *targets)
            kill = self._kill(repro, wanted)
            if last is not None:
                last.left += left
                if before is not None:
                    last.twice += done_twice(before, finished(self.copy.folder), repro.output())
                last.wrong += [s for s, outs in recorded(self.copy).items() if self.reference.lock[s] != outs]
            if kill is None and repro.process.returncode:
                self._obey(repro.output(), last)
                continue
            if last is not None:
                yield last
            if kill is None:
                return
            last = kill

    def _kill(self, repro: Repro, wanted: Callable[[str], bool]) -> Kill | None:
        """Kill a run in one of its stages and wait until it has ended; None if it ended by itself."""
        spared: set[str] = set()

        def chosen() -> bool:
            stage = repro.stage()
            again = stage in spared
            spared.add(stage)
            return not again and wanted(kind_of(stage)) and self.dice.random() > SPARED

        if not repro.wait_for(chosen):
            return None
        seconds = self.dice.uniform(0, self.reference.seconds[kind_of(repro.stage())])
        repro.wait_for(lambda: False, seconds)
        if repro.process.poll() is not None:
            return None
        victim = self.dice.choice(VICTIMS)
        kill = Kill(self.number, repro.stage(), victim, repro.kill(victim, self.dice), round(seconds, 2))
        repro.wait_for(lambda: False, HARMLESS)
        if repro.process.poll() is None:
            kill.hit += "; then all"
            repro.kill("all", self.dice)
        repro.process.wait()
        return kill

    def _obey(self, output: str, last: Kill | None) -> None:
        """Do what a run that failed by itself asks for, once for every kill."""
        if last is not None and CUT_SHORT.search(output) and not last.mended:
            last.mended = True
            self.copy.run("python", "-m", "tools.mend_records")
        elif last is not None and BUSY.search(output) and not last.busy:
            last.busy = True  # it is waited for before the next run
        else:
            raise RuntimeError(f"kill {last}: the run after it failed:\n{output[-3000:]}")


def torture(  # noqa: PLR0913 - where, what and how often
    base: Checkout,
    reference: Reference,
    folder: Path,
    *,
    kills: int,
    seed: int,
    done: int = 0,
    targets: tuple[str, ...] = (),
) -> Iterator[Kill]:
    """Run rounds from empty clones of `base` until there have been `kills`, about equally many in every kind of stage.

    Args:
        base: Committed checkout.
        reference: What its undisturbed run gave.
        folder: Where the clones go.
        kills: Number wanted.
        seed: Of moments and victims.
        done: Rounds that earlier calls finished.
        targets: Stages to run; all by default.
    """
    counts: Counter[str] = Counter()
    share = -(-kills // len(reference.seconds))
    while counts.total() < kills:
        done += 1
        copy = base.clone(folder / f"round{done}")
        (copy.folder / "dvc.lock").unlink(missing_ok=True)  # where the base has run, too
        wanted = lambda kind: counts[kind] < share and counts.total() < kills  # noqa: E731
        for kill in Round(copy, reference, folder / f"round{done}.log", done, seed).kills(wanted, *targets):
            counts[kind_of(kill.stage)] += 1
            yield kill
        if recorded(copy) != reference.lock:
            raise RuntimeError(f"round {done} did not end in the undisturbed run's hashes")
        shutil.rmtree(copy.folder)
