"""A Ray cluster of two raylets on loopback, one of which can be killed."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pipeline.cluster import RayCluster, joined

Item = TypeVar("Item")
Result = TypeVar("Result")

STORE = 80 * 2**20
"""Bytes of shared memory for each raylet, the least that Ray takes."""


class TwoNodes:
    """A head and a node that is doomed, one CPU each."""

    def __init__(self) -> None:
        """Start them."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - optional

        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
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
        with joined(RayCluster(nodes.address, 1)):
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
