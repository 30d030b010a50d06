"""Work on a Ray cluster: tasks on any free CPU, or actors that keep what they opened, such as a model on a GPU.

Ray is optional and imported when it is asked for; it places, repeats and carries the work. See docs/scale.md.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, runtime_checkable

from pipeline.params.runtime import RuntimeParams
from pipeline.runtime.errors import ParamsError, WorkerError
from pipeline.runtime.vector_width import INSTRUCTION_SET

# Ray is optional and imported when it is asked for. It places, repeats and carries the work; this module only bounds
# what
# is under way, keeps the order and turns Ray's errors into lines. See docs/scale.md.


Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUED_PER_CPU = 3
"""Items under way or waiting beside each one a CPU works on, so that a worker never waits for the driver."""
LOSSES = 5
"""How often one item may lose its worker; one that kills every worker it meets must not go round for ever."""
PATIENCE = 10.0
"""Seconds for a cluster's head to answer."""
CODE = Path(__file__).parents[1]
NO_REPORTS = "RAY_USAGE_STATS_ENABLED"
"""Set to 0, Ray does not report home."""


@runtime_checkable
class Cluster(Protocol):
    """Machines that work on items: `RayCluster`, or the actors of one."""

    def map_ordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in order."""


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Where items are worked on."""

    address: str | None
    """`auto` or `host:port` of a running cluster; None starts one on this machine."""
    workers: int
    """CPUs of the cluster that is started here; of no account for a running one."""

    def map_ordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in order, whatever machines the cluster has or loses meanwhile.

        Items are drawn lazily: a few per CPU of the cluster are under way, however many CPUs join or leave.

        Args:
            function: Picklable; may run more than once for an item if machines are lost, so the last call must do.
            items: Inputs, picklable.

        Raises:
            ParamsError: If Ray is not installed or no cluster answers.
            WorkerError: If an item loses its worker again and again.
        """
        with joined(self) as ray:
            task = ray.remote(num_cpus=1, max_retries=LOSSES)(_call)
            sent, home = ray.put(function), Path.cwd()
            yield from _in_order(ray, (task.remote(home, sent, item) for item in items))


def cluster_of(runtime: RuntimeParams) -> RayCluster | None:
    """Return the cluster that `params.yaml` asks for; None where the processes of this machine do the work."""
    return RayCluster(runtime.ray_address, runtime.worker_count()) if runtime.engine == "ray" else None


@contextmanager
def joined(cluster: RayCluster) -> Iterator[ModuleType]:
    """Lend Ray, connected; a connection that was there before stays."""
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, cluster)
    try:
        yield ray
    finally:
        ray.shutdown()


def _ray() -> ModuleType:
    os.environ.setdefault(NO_REPORTS, "0")
    try:
        import ray  # noqa: PLC0415 - optional, and a second of import
    except ImportError as error:
        raise ParamsError(
            "params.yaml: runtime.engine: ray is not installed; `pip install -r requirements-ray.txt`, or choose local"
        ) from error
    module: ModuleType = ray
    return module


def _connect(ray: ModuleType, cluster: RayCluster) -> None:
    # The modules travel with the job, so that every machine works by this checkout's code. Numpy is there before them.
    environment = {"py_modules": [str(CODE)], "env_vars": INSTRUCTION_SET}
    quiet = {"log_to_driver": False, "logging_level": "critical", "runtime_env": environment}
    try:
        _knock(cluster.address)
        if cluster.address is None:
            ray.init(num_cpus=cluster.workers, include_dashboard=False, **quiet)
        else:
            ray.init(cluster.address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ParamsError(
            f"params.yaml: runtime.ray_address: no cluster at {cluster.address} ({reason}); start one with "
            "`ray start --head`, or set it to null"
        ) from error


def _knock(address: str | None) -> None:
    """Try whether anybody listens: Ray itself would insist for minutes.

    Raises:
        OSError: If nobody does.
        ValueError: If the address has no port.
    """
    if address not in {None, "auto", "local"}:
        host, _, port = str(address).rpartition(":")
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def _call(home: Path, function: Callable[[Item], Result], item: Item) -> Result:
    """Work on one item, in the folder that relative paths are meant from where this machine has it."""
    with suppress(OSError):
        os.chdir(home)
    return function(item)


def _in_order(ray: ModuleType, submitted: Iterator[Any]) -> Iterator[Any]:
    waiting: deque[Any] = deque()
    try:
        for reference in submitted:
            waiting.append(reference)
            while len(waiting) >= _bound(ray):
                yield result(ray, waiting.popleft())
        while waiting:
            yield result(ray, waiting.popleft())
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _bound(ray: ModuleType) -> int:
    return (1 + QUEUED_PER_CPU) * max(1, int(ray.cluster_resources().get("CPU", 0)))


def result(ray: ModuleType, reference: Any) -> Any:
    """Wait for one result.

    Raises:
        WorkerError: If the worker was lost once too often; an error of the work itself is raised as it was there.
    """
    try:
        return outcome(ray, reference)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise too_often(error) from error


def outcome(ray: ModuleType, reference: Any) -> Any:
    """Wait for one result; an error of the work itself is raised as it was there, that of a lost worker is Ray's."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from None
        raise


def too_often(error: Exception) -> WorkerError:
    """Return the error of work that kept losing its worker, for the last of Ray's reasons."""
    reason = str(error).strip().partition("\n")[0]
    return WorkerError(
        f"one piece of work lost its worker on the Ray cluster too often ({reason}); look at `ray status` and "
        "at the machines' memory, then run the same command again to go on"
    )


@dataclass(frozen=True, slots=True)
class Resources:
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


def resources_for(device: str, threads: int, machines: Sequence[Mapping[str, float]]) -> Resources:
    """Return what an actor needs: a GPU and a core where GPUs are wanted and there, else a core a thread.

    Args:
        device: `auto`, `cpu` or `cuda`.
        threads: Of the work on a CPU; machines of fewer cores stay idle, unless there are no others.
        machines: Resources of each by name, `CPU` and `GPU` among them.

    Raises:
        ParamsError: If the cluster has no such device.
    """
    gpu = Resources(cpus=1, gpus=1)
    if device not in {"auto", "cpu", "cuda"}:
        raise ParamsError(
            f"params.yaml: runtime.device: {device!r} is not known on a cluster; choose auto, cpu or cuda"
        )
    if device != "cpu" and gpu.count(machines):
        return gpu
    if device == "cuda":
        raise ParamsError("params.yaml: runtime.device: the Ray cluster has no GPU; see `ray status`, or choose auto")
    most = max((int(machine.get("CPU", 0)) for machine in machines), default=0)
    return Resources(cpus=max(1, min(threads, most)), gpus=0)


@contextmanager
def actor_pool(cluster: RayCluster, *, device: str, threads: int) -> Iterator["ActorPool"]:
    """Lend the actors of a cluster, connected; arguments and errors are those of `resources_for`."""
    with joined(cluster) as ray:
        yield ActorPool(ray, resources_for(device, threads, _machines(ray)))


def _machines(ray: ModuleType) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@dataclass(frozen=True, slots=True)
class ActorPool:
    """One actor a seat, however many seats the cluster gains or loses."""

    ray: ModuleType
    seat: Resources

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
        yield from _Scheduler(self, lambda: actor.remote(home, given), items).results()


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
class _ActorTask:
    number: int
    item: Any
    losses: int = 0
    """Actors that it has lost."""


class _Scheduler:
    """One pass over the items: who is at what, what has to be done again, what is finished before its turn."""

    def __init__(self, crew: ActorPool, hire: Callable[[], Any], items: Iterable[Any]) -> None:
        self.crew, self.hire, self.items = crew, hire, enumerate(items)
        self.at_work: dict[Any, tuple[Any, _ActorTask | None]] = {}  # no task: the actor is starting
        self.idle: list[Any] = []
        self.lost: deque[_ActorTask] = deque()
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

    def _next(self) -> _ActorTask | None:
        if self.lost:
            return self.lost.popleft()
        if self.exhausted or self.drawn - self.turn >= (1 + QUEUED_PER_CPU) * self.crew.size():
            return None
        drawn = next(self.items, None)
        if drawn is None:
            self.exhausted = True
            return None
        self.drawn += 1
        return _ActorTask(*drawn)

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

    def _keep(self, task: _ActorTask | None, value: Any) -> None:
        if task is None:
            self.stillborn = 0
        else:
            self.finished[task.number] = value

    def _lose(self, task: _ActorTask | None, error: Exception) -> None:
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
