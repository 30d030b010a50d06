"""Parallel work keeps its order, its errors and its bounded memory."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from operator import neg
from pathlib import Path

import psutil
import pytest

from pipeline.runtime.errors import WorkerError
from pipeline.runtime.parallel import QUEUED_PER_WORKER, map_ordered

pytestmark = pytest.mark.slow

ENDLESS = """
from itertools import count
from time import sleep
from pipeline.runtime.parallel import map_ordered
for _ in map_ordered(sleep, (0.01 for _ in count()), workers=2):
    print("working", flush=True)
"""
ENDS_WITH_PARENT = """
import os
from pipeline.runtime.parallel import end_with_parent
end_with_parent()
print(os.getpid(), flush=True)
time.sleep(600)
"""


def kill_this_process(_: int) -> None:
    """Die as a worker that the system has no memory for."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_one_line_with_what_to_do() -> None:
    """Not a traceback of the pool."""
    with pytest.raises(WorkerError, match=r"killed.*run the same command again.*runtime\.workers"):
        list(map_ordered(kill_this_process, range(3), workers=2))


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["parent", "group"])
def test_workers_end_with_a_parent_that_is_killed_and_leave_no_folder(
    kill: Callable[[int, int], None], root: Path, tmp_path: Path
) -> None:
    """They would wait for work for ever; and after a kill of the whole group nobody is left to remove a folder."""
    command, env = [sys.executable, "-c", ENDLESS], os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(  # noqa: S603
        command, cwd=root, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "working\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) >= 3
        kill(parent.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_process_ends_with_the_one_that_started_it(root: Path, platform: str) -> None:
    """By the kernel, or where it cannot, as on macOS, by watching."""
    child = f"import sys, time; sys.platform = {platform!r}\n" + ENDS_WITH_PARENT
    parent = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", parent, child], cwd=root, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        process = psutil.Process(int(started.stdout.readline()))
        started.kill()
        _, alive = psutil.wait_procs([process], timeout=30)
    assert alive == []


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
