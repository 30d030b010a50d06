"""Work on a Ray cluster: stateless tasks, or actors that keep what they opened, such as a model on a GPU.

Ray is optional and imported on demand. It places, retries and transports the work; this module bounds the items in
flight, keeps their order, and turns Ray's errors into one line. See docs/scale.md.
"""

import os
import shlex
import socket
import sys
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

Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUED_PER_CPU = 3  # queued items for each item in work, so that a worker never waits for the driver
MAX_LOSSES = 5  # lost workers per item after which the item fails, since it may be what kills them
TIMEOUT = 10.0  # seconds to wait for the head of a cluster, and for results before the pool's size is checked again
CODE = Path(__file__).parents[1]


@runtime_checkable
class Cluster(Protocol):
    """`RayCluster`, or the actors of one."""

    def map_ordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in order."""


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A Ray cluster that is running, or one started on this machine."""

    address: str | None  # `auto` or `host:port` of a running cluster; None starts one on this machine
    workers: int  # CPUs of a cluster started here; ignored for a running one

    def map_ordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in order; machines may join and leave meanwhile.

        Items are drawn lazily: a few per CPU of the cluster are in flight. The function, picklable as they are, must be
        idempotent, since it runs again for an item whose machine is lost.
        """
        with connect(self) as ray:
            task = ray.remote(num_cpus=1, max_retries=MAX_LOSSES)(_call)
            shared, home = ray.put(function), Path.cwd()
            pending: deque[Any] = deque()
            try:
                for item in items:
                    pending.append(task.remote(home, shared, item))
                    cpus = max(1, int(ray.cluster_resources().get("CPU", 0)))
                    while len(pending) >= (1 + QUEUED_PER_CPU) * cpus:
                        yield _result(ray, pending.popleft())
                while pending:
                    yield _result(ray, pending.popleft())
            finally:
                for reference in pending:
                    ray.cancel(reference, force=True)


def cluster_of(runtime: RuntimeParams) -> RayCluster | None:
    """Return the cluster that `params.yaml` asks for; None for processes of this machine."""
    return RayCluster(runtime.ray_address, runtime.worker_count()) if runtime.engine == "ray" else None


@contextmanager
def connect(cluster: RayCluster) -> Iterator[ModuleType]:
    """Yield `ray`, connected once to a cluster; a `ParamsError` if it is not installed or no cluster answers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray's telemetry
    try:
        import ray  # noqa: PLC0415 - optional, and a second of import
    except ImportError as error:
        raise ParamsError(
            "params.yaml: runtime.engine: ray is not installed; `pip install -r requirements-ray.txt`, or choose local"
        ) from error
    if ray.is_initialized():
        yield ray
        return
    # All machines run this checkout's code. They import numpy before it, so the variables are set for the process.
    environment: dict[str, Any] = {"py_modules": [str(CODE)], "env_vars": INSTRUCTION_SET}
    if shlex.quote(sys.executable) != sys.executable:  # Ray starts workers by a shell line and does not quote the path
        environment["py_executable"] = shlex.quote(sys.executable)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "critical", "runtime_env": environment}
    try:
        if cluster.address is None:
            ray.init(num_cpus=cluster.workers, include_dashboard=False, **options)
        else:
            if cluster.address not in {"auto", "local"}:  # connect once, since Ray itself retries for minutes
                host, _, port = cluster.address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=TIMEOUT).close()
            ray.init(cluster.address, **options)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ParamsError(
            f"params.yaml: runtime.ray_address: no cluster at {cluster.address} ({reason}); start one with "
            "`ray start --head`, or set it to null"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _call(home: Path, function: Callable[[Item], Result], item: Item) -> Result:
    """Process one item, in the driver's working folder if this machine has it."""
    with suppress(OSError):
        os.chdir(home)
    return function(item)


def _result(ray: ModuleType, reference: Any) -> Any:
    """Wait for one result; raise errors of the function as they were, and `WorkerError` for a lost worker."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise WorkerError(
            f"one piece of work lost its worker on the Ray cluster too often ({reason}); look at `ray status` and "
            "at the machines' memory, then run the same command again to go on"
        ) from error


@dataclass(frozen=True, slots=True)
class Resources:
    """Resources of one actor."""

    cpus: int
    gpus: int  # 1, or 0 for work on a CPU

    def count(self, machines: Sequence[Mapping[str, float]]) -> int:
        """Return how many actors fit on machines of these resources."""
        total = 0
        for machine in machines:
            fits = int(machine.get("CPU", 0)) // self.cpus
            total += min(fits, int(machine.get("GPU", 0)) // self.gpus) if self.gpus else fits
        return total


def resources_for(device: str, threads: int, machines: Sequence[Mapping[str, float]]) -> Resources:
    """Return the resources of an actor: a GPU and a core if a GPU is wanted and present, else a core per thread.

    Machines, given by their resources `CPU` and `GPU`, with fewer cores than threads stay idle unless all have fewer.

    Raises:
        ParamsError: If the cluster has no such device.
    """
    gpu = Resources(cpus=1, gpus=1)
    if device not in {"auto", "cpu", "cuda"}:
        what = f"{device!r} is not known on a cluster; choose auto, cpu or cuda"
        raise ParamsError(f"params.yaml: runtime.device: {what}")
    if device != "cpu" and gpu.count(machines):
        return gpu
    if device == "cuda":
        raise ParamsError("params.yaml: runtime.device: the Ray cluster has no GPU; see `ray status`, or choose auto")
    most = max((int(machine.get("CPU", 0)) for machine in machines), default=0)
    return Resources(cpus=max(1, min(threads, most)), gpus=0)


@contextmanager
def actor_pool(cluster: RayCluster, *, device: str, threads: int) -> Iterator["ActorPool"]:
    """Connect to a cluster and yield its pool; arguments and errors are those of `resources_for`."""
    with connect(cluster) as ray:
        yield ActorPool(ray, resources_for(device, threads, _machines(ray)))


def _machines(ray: ModuleType) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@dataclass(frozen=True, slots=True)
class ActorPool:
    """As many actors as fit on the cluster, which may grow and shrink."""

    ray: ModuleType
    resources: Resources

    @property
    def device(self) -> str:
        """Device of an actor: `cuda`, the one GPU that Ray shows to it, or `cpu`."""
        return "cuda" if self.resources.gpus else "cpu"

    def size(self) -> int:
        """Return how many actors fit now, at least 1: one waits until there is room."""
        return max(1, self.resources.count(_machines(self.ray)))

    def map_ordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in order; machines may join and leave meanwhile.

        Items are drawn when an actor is free, a few per actor ahead of the next result. Every actor keeps its own copy
        of the function, with what that stores between calls; it runs again for an item whose actor is lost.
        """
        actor = self.ray.remote(num_cpus=self.resources.cpus, num_gpus=self.resources.gpus)(_Actor)
        shared, home = self.ray.put(function), Path.cwd()
        yield from _Scheduler(self, lambda: actor.remote(home, shared), items).results()


class _Actor:
    """Process that keeps one function."""

    def __init__(self, home: Path, function: Callable[[Any], Any]) -> None:
        self.home, self.function = home, function

    def work(self, item: Any) -> Any:
        """Process one item."""
        return _call(self.home, self.function, item)


@dataclass(slots=True)
class _ActorTask:
    number: int
    item: Any
    losses: int = 0  # actors lost by this item


class _Scheduler:
    """One pass over the items: running, lost and finished tasks."""

    def __init__(self, pool: ActorPool, start_actor: Callable[[], Any], items: Iterable[Any]) -> None:
        self.pool, self.start_actor, self.items = pool, start_actor, enumerate(items)
        self.running: dict[Any, tuple[Any, _ActorTask | None]] = {}  # no task: the actor is starting
        self.idle: list[Any] = []
        self.lost: deque[_ActorTask] = deque()
        self.finished: dict[int, Any] = {}
        self.next_result = self.drawn = self.failed_starts = 0
        self.exhausted = False

    def results(self) -> Iterator[Any]:
        """Yield results in the order of the items; kill all actors at the end."""
        try:
            while not (self.exhausted and self.next_result == self.drawn):
                for _ in range(self.pool.size() - len(self.running) - len(self.idle)):
                    actor = self.start_actor()
                    self.running[actor.__ray_ready__.remote()] = actor, None
                while self.idle and (task := self._next_task()) is not None:
                    actor = self.idle.pop()
                    self.running[actor.work.remote(task.item)] = actor, task
                self._collect()
                while self.next_result in self.finished:
                    yield self.finished.pop(self.next_result)
                    self.next_result += 1
        finally:
            for actor in [*self.idle, *(actor for actor, _ in self.running.values())]:
                self.pool.ray.kill(actor)

    def _next_task(self) -> _ActorTask | None:
        if self.lost:
            return self.lost.popleft()
        if self.exhausted or self.drawn - self.next_result >= (1 + QUEUED_PER_CPU) * self.pool.size():
            return None
        drawn = next(self.items, None)
        if drawn is None:
            self.exhausted = True
            return None
        self.drawn += 1
        return _ActorTask(*drawn)

    def _collect(self) -> None:
        """Wait for results, at most `TIMEOUT` seconds: the cluster may have grown meanwhile."""
        if not self.running:
            return
        done, _ = self.pool.ray.wait(list(self.running), timeout=TIMEOUT)
        for reference in done:
            actor, task = self.running.pop(reference)
            try:
                value = _result(self.pool.ray, reference)
            except WorkerError as error:
                if error.__cause__ is None:  # of the function itself
                    raise
                self.pool.ray.kill(actor)
                if task is None:
                    self.failed_starts += 1
                    too_often = self.failed_starts > MAX_LOSSES * self.pool.size()
                else:
                    task.losses += 1
                    too_often = task.losses > MAX_LOSSES
                    self.lost.append(task)
                if too_often:
                    raise
                continue
            self.idle.append(actor)
            if task is None:
                self.failed_starts = 0
            else:
                self.finished[task.number] = value
