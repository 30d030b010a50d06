"""Run one function over many items on several processes; results come back in the order of the items."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from pipeline.runtime.errors import WorkerError

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

    Raises:
        WorkerError: If a worker process was killed.
    """
    if workers == 1:
        yield from map(function, items)
        return
    # spawn: `fork` may copy a lock that a thread holds; `forkserver` has its socket in a folder that outlives a kill of
    # all processes, and in Python 3.11 each of its workers imports everything, too.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= workers * QUEUED_PER_WORKER:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process was killed, perhaps for want of memory; run the same command again to go on, or set "
                "runtime.workers lower"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def _end_with_parent() -> None:
    """End this worker together with the process it works for, which has no way to say so when it is killed."""
    Thread(target=_await_parent, daemon=True).start()


def _await_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
