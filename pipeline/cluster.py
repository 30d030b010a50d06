"""Work on a Ray cluster: as `pipeline.parallel` does it, but the workers may be on many machines, and any of them die.

Ray is optional and imported when it is asked for. It places, repeats and carries the work; this module only bounds what
is under way, keeps the order and turns Ray's errors into lines. See docs/scale.md.
"""

from pipeline.processor import INSTRUCTION_SET

# isort: split
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, runtime_checkable

from pipeline.errors import ParamsError, WorkerError
from pipeline.params.runtime import RuntimeParams

Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUED_PER_CPU = 3
"""Items under way or waiting beside each one a CPU works on, so that a worker never waits for the driver."""
LOSSES = 5
"""How often one item may lose its worker; one that kills every worker it meets must not go round for ever."""
PATIENCE = 10.0
"""Seconds for a cluster's head to answer."""
CODE = Path(__file__).parent
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
