"""A Ray cluster of two raylets on loopback, one of which can be killed."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from pipeline.runtime.ray_pool import RayCluster, connect

Item = TypeVar("Item")
Result = TypeVar("Result")

STORE = 80 * 2**20
"""Bytes of shared memory for each raylet, the least that Ray takes."""
SOON = {"health_check_initial_delay_ms": 100, "health_check_period_ms": 100}
"""Lets the head miss a dead node within half a second, not within twenty."""


class TwoNodes:
    """A head and a node that is doomed, one CPU each."""

    def __init__(self) -> None:
        """Start them."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - optional

        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, "_system_config": SOON}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.doomed: Any = None

    @property
    def address(self) -> str:
        """Where a driver joins."""
        return str(self.cluster.address)

    def complete(self) -> None:
        """Start the second node, if it is not there."""
        if self.doomed is None:
            self.doomed = self.cluster.add_node(num_cpus=1, object_store_memory=STORE)

    def kill(self) -> None:
        """End the second node as a failing machine does."""
        self.cluster.remove_node(self.doomed, allow_graceful=False)
        self.doomed = None


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Lend a cluster this process is connected to, as a stage is."""
    nodes = TwoNodes()
    try:
        with connect(RayCluster(nodes.address, 1)):
            yield nodes
    finally:
        nodes.cluster.shutdown()


class LosingNode(RayCluster):
    """A cluster that loses its second node just before an item is drawn."""

    nodes: TwoNodes
    before: int

    def map_ordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Kill the node on the way."""
        return super().map_ordered(function, self._killing(items))

    def _killing(self, items: Iterable[Item]) -> Iterator[Item]:
        for number, item in enumerate(items):
            if number == self.before:
                self.nodes.kill()
            yield item


def losing_node(nodes: TwoNodes, *, before: int) -> LosingNode:
    """Return a cluster of both nodes that is going to have one."""
    nodes.complete()
    cluster = LosingNode(nodes.address, 1)
    object.__setattr__(cluster, "nodes", nodes)
    object.__setattr__(cluster, "before", before)
    return cluster


def stuck_on_second(fifo: Path, function: Callable[[Item], Result], item: Item) -> Result:
    """Never come back on the second node, after saying so; answer on the head once that is said."""
    import ray  # noqa: PLC0415 - as the workers have it

    here = ray.get_runtime_context().get_node_id()
    (head,) = (node["NodeID"] for node in ray.nodes() if "node:__internal_head__" in node["Resources"])
    if here != head:
        fifo.open("w").close()
        signal.pause()
    fifo.with_name("go").open().close()  # so that the second node is sure to get an item
    return function(item)


def make_fifos(folder: Path) -> Path:
    """Return what `stuck_on_second` speaks through."""
    fifo = folder / "fifo"
    for path in (fifo, fifo.with_name("go")):
        os.mkfifo(path)
    return fifo


def kill_once_stuck(nodes: TwoNodes, fifo: Path) -> None:
    """Kill the second node as soon as it holds an item, and let the head work."""
    fifo.open().close()  # opens once the second node is stuck
    nodes.kill()
    os.open(fifo.with_name("go"), os.O_RDWR)  # stays open: nobody waits any more


@contextmanager
def killed_once_stuck(nodes: TwoNodes, fifo: Path) -> Iterator[None]:
    """Do so while the block waits for results."""
    nodes.complete()
    killer = Thread(target=kill_once_stuck, args=(nodes, fifo))
    killer.start()
    yield
    killer.join()
