"""Work on a Ray cluster by actors: each keeps what it has opened, such as a model on a GPU, from one item to the next.

`pipeline.cluster` gives items to whichever process is free. Here every seat of the cluster (a GPU, or some cores) has
one actor. A lost actor's item goes to another; its seat, once it is there again, to a new one. See docs/scale.md.
"""

from pipeline.cluster import LOSSES, PATIENCE, QUEUED_PER_CPU, RayCluster, joined, outcome, too_often

# isort: split
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pipeline.errors import ParamsError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Seat:
    """What one actor has of a machine."""

    cpus: int
    """Cores."""
    gpus: int
    """1, or 0 for work on cores alone."""

    def count(self, machines: Sequence[Mapping[str, float]]) -> int:
        """Return how many actors machines of these resources hold."""
        return sum(self._on(machine) for machine in machines)

    def _on(self, machine: Mapping[str, float]) -> int:
        by_cpu = int(machine.get("CPU", 0)) // self.cpus
        return min(by_cpu, int(machine.get("GPU", 0)) // self.gpus) if self.gpus else by_cpu


def seat_for(device: str, threads: int, machines: Sequence[Mapping[str, float]]) -> Seat:
    """Return what an actor needs: a GPU and a core where GPUs are wanted and there, else a core a thread.

    Args:
        device: `auto`, `cpu` or `cuda`.
        threads: Of the work on a CPU; machines of fewer cores stay idle, unless there are no others.
        machines: Resources of each by name, `CPU` and `GPU` among them.

    Raises:
        ParamsError: If the cluster has no such device.
    """
    gpu = Seat(cpus=1, gpus=1)
    if device not in {"auto", "cpu", "cuda"}:
        raise ParamsError(
            f"params.yaml: runtime.device: {device!r} is not known on a cluster; choose auto, cpu or cuda"
        )
    if device != "cpu" and gpu.count(machines):
        return gpu
    if device == "cuda":
        raise ParamsError("params.yaml: runtime.device: the Ray cluster has no GPU; see `ray status`, or choose auto")
    most = max((int(machine.get("CPU", 0)) for machine in machines), default=0)
    return Seat(cpus=max(1, min(threads, most)), gpus=0)


@contextmanager
def crew_of(cluster: RayCluster, *, device: str, threads: int) -> Iterator["Crew"]:
    """Lend the actors of a cluster, connected; arguments and errors are those of `seat_for`."""
    with joined(cluster) as ray:
        yield Crew(ray, seat_for(device, threads, _machines(ray)))


def _machines(ray: ModuleType) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@dataclass(frozen=True, slots=True)
class Crew:
    """One actor a seat, however many seats the cluster gains or loses."""

    ray: ModuleType
    seat: Seat

    @property
    def device(self) -> str:
        """Where its work is done: `cuda`, the one GPU that Ray shows to the actor, or `cpu`."""
        return "cuda" if self.seat.gpus else "cpu"

    def size(self) -> int:
        """Return how many actors there can be now; one waits where there is no seat."""
        return max(1, self.seat.count(_machines(self.ray)))

    def map_ordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in order, whatever machines the cluster has or loses meanwhile.

        Items are drawn when an actor is free, and no more than a few per actor ahead of the one that is waited for.

        Args:
            function: Picklable; every actor has a copy of its own, and with it what that keeps between calls. May run
                more than once for an item if machines are lost, so the last call must do.
            items: Inputs, picklable.

        Raises:
            WorkerError: If an item loses its actor again and again, or actors do not start.
        """
        actor = self.ray.remote(num_cpus=self.seat.cpus, num_gpus=self.seat.gpus)(_Member)
        given, home = self.ray.put(function), Path.cwd()
        yield from _Shift(self, lambda: actor.remote(home, given), items).results()


class _Member:
    """What an actor is."""

    def __init__(self, home: Path, function: Callable[[Any], Any]) -> None:
        """Take a function, in the folder that relative paths are meant from where this machine has it."""
        with suppress(OSError):
            os.chdir(home)
        self.function = function

    def work(self, item: Any) -> Any:
        """Work on one item."""
        return self.function(item)


@dataclass(slots=True)
class _Task:
    number: int
    item: Any
    losses: int = 0
    """Actors that it has lost."""


class _Shift:
    """One pass over the items: who is at what, what has to be done again, what is finished before its turn."""

    def __init__(self, crew: Crew, hire: Callable[[], Any], items: Iterable[Any]) -> None:
        self.crew, self.hire, self.items = crew, hire, enumerate(items)
        self.at_work: dict[Any, tuple[Any, _Task | None]] = {}  # no task: the actor is starting
        self.idle: list[Any] = []
        self.lost: deque[_Task] = deque()
        self.finished: dict[int, Any] = {}
        self.turn = self.drawn = self.stillborn = 0
        self.exhausted = False

    def results(self) -> Iterator[Any]:
        try:
            while not (self.exhausted and self.turn == self.drawn):
                self._staff()
                self._deal()
                self._collect()
                while self.turn in self.finished:
                    yield self.finished.pop(self.turn)
                    self.turn += 1
        finally:
            for actor in [*self.idle, *(actor for actor, _ in self.at_work.values())]:
                self.crew.ray.kill(actor)

    def _staff(self) -> None:
        for _ in range(self.crew.size() - len(self.at_work) - len(self.idle)):
            actor = self.hire()
            self.at_work[actor.__ray_ready__.remote()] = actor, None

    def _deal(self) -> None:
        while self.idle and (task := self._next()) is not None:
            actor = self.idle.pop()
            self.at_work[actor.work.remote(task.item)] = actor, task

    def _next(self) -> _Task | None:
        if self.lost:
            return self.lost.popleft()
        if self.exhausted or self.drawn - self.turn >= (1 + QUEUED_PER_CPU) * self.crew.size():
            return None
        drawn = next(self.items, None)
        if drawn is None:
            self.exhausted = True
            return None
        self.drawn += 1
        return _Task(*drawn)

    def _collect(self) -> None:
        """Wait for somebody; not for ever, since the cluster may have gained a seat meanwhile."""
        if not self.at_work:
            return
        done, _ = self.crew.ray.wait(list(self.at_work), timeout=PATIENCE)
        for reference in done:
            actor, task = self.at_work.pop(reference)
            try:
                value = outcome(self.crew.ray, reference)
            except self.crew.ray.exceptions.RayTaskError:
                raise
            except self.crew.ray.exceptions.RayError as error:
                self.crew.ray.kill(actor)
                self._lose(task, error)
                continue
            self.idle.append(actor)
            self._keep(task, value)

    def _keep(self, task: _Task | None, value: Any) -> None:
        if task is None:
            self.stillborn = 0
        else:
            self.finished[task.number] = value

    def _lose(self, task: _Task | None, error: Exception) -> None:
        """Put a task back whose actor was lost.

        Raises:
            WorkerError: If that was once too often, also of actors that have not even started.
        """
        if task is None:
            self.stillborn += 1
            if self.stillborn > LOSSES * self.crew.size():
                raise too_often(error) from error
            return
        task.losses += 1
        if task.losses > LOSSES:
            raise too_often(error) from error
        self.lost.append(task)
