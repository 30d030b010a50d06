"""Run one function over many items on several processes; results come back in the order of the items."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUED_PER_WORKER = 4


def map_ordered(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, whatever the number of workers.

    Items are drawn lazily: at most a few per worker are in flight, so memory does not grow with their number.

    Args:
        function: Picklable, that is, defined at the top of a module (or a `functools.partial` of one).
        items: Inputs, picklable.
        workers: Processes; 1 works in this process.
    """
    if workers == 1:
        yield from map(function, items)
        return
    # forkserver: no thread of this process can leave a lock held in a child.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= workers * QUEUED_PER_WORKER:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
