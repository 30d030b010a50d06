"""Parallel work keeps its order, its errors and its bounded memory."""

from collections.abc import Iterator
from operator import neg

import pytest

from pipeline.parallel import QUEUED_PER_WORKER, map_ordered


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    """The number of workers changes nothing."""
    assert list(map_ordered(neg, range(50), workers=workers)) == [-i for i in range(50)]


def test_items_are_drawn_lazily() -> None:
    """A few items per worker are in flight, not the whole stream."""
    drawn = []

    def items() -> Iterator[int]:
        for i in range(1000):
            drawn.append(i)
            yield i

    results = map_ordered(neg, items(), workers=2)
    assert next(results) == 0
    assert len(drawn) <= 2 * QUEUED_PER_WORKER
    results.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_reaches_the_caller(workers: int) -> None:
    """The worker's own exception type arrives."""
    with pytest.raises(TypeError):
        list(map_ordered(neg, ["text"], workers=workers))
