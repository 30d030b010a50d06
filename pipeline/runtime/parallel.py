"""Map a function over items on several processes, in order."""

import ctypes
import os
import signal
import sys
import time
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
    """Yield `function(item)` for every item, in order, whatever the number of workers; 1 is this process.

    Items are drawn lazily: at most a few per worker are in flight, so memory does not grow with their number. The
    function, defined at the top of a module or a `functools.partial` of one, and the items are picklable.

    Raises:
        WorkerError: If a worker process is killed.
    """
    if workers == 1:
        yield from map(function, items)
        return
    # spawn: `fork` may copy a lock that a thread holds; the socket of `forkserver` outlives a kill of all processes.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_exit_with_parent) as pool:
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


def end_with_parent() -> None:
    """Let this process end when the one that started it ends; a killed one cannot end it itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        return
    parent = os.getppid()

    def poll() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    Thread(target=poll, daemon=True).start()


def _exit_with_parent() -> None:
    """Exit when the parent process does; a killed parent cannot stop its workers."""

    def wait() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
