"""What a piece of work costs: processor and wall seconds, and memory, of this process and of those it started."""

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

STATUS = Path("/proc/self/status")
SECONDS_BETWEEN_LOOKS = 0.002


class Cost(NamedTuple):
    """Cost of one piece of work."""

    cpu: float
    """Processor seconds, user and system; on a shared machine they say more than the clock."""
    wall: float
    """Seconds."""


def cost_of(work: Callable[[], object]) -> Cost:
    """Do some work and return what it took; processes count once they have ended."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    work()
    return Cost(_cpu_seconds() - cpu, time.perf_counter() - wall)


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def take_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[Cost, ...]]:
    """Return what each contender took, round by round: A B A B, so that a busy minute meets all of them."""
    costs = [{name: cost_of(work) for name, work in contenders.items()} for _ in range(rounds)]
    return {name: tuple(cost[name] for cost in costs) for name in contenders}


def ratios(above: tuple[Cost, ...], below: tuple[Cost, ...]) -> tuple[float, ...]:
    """Return how many times the processor time of `below` each round of `above` took."""
    return tuple(one.cpu / other.cpu for one, other in zip(above, below, strict=True))


def median_cpu(costs: tuple[Cost, ...]) -> float:
    """Return the median processor time in seconds."""
    return statistics.median(cost.cpu for cost in costs)


def rates(samples: int, costs: Mapping[str, tuple[Cost, ...]]) -> dict[str, object]:
    """Return the samples per second of processor time of every contender, named for a row's detail."""
    return {f"{name}_samples_per_cpu_second": samples / median_cpu(cost) for name, cost in costs.items()}


@dataclass
class Peak:
    """Highest memory seen while something ran."""

    bytes: int = 0
    """Above what the process held before; memory that the system may take back at will, such as that of mapped files,
    does not count."""


@contextmanager
def memory_watched() -> Iterator[Peak]:
    """Watch the anonymous memory of this process; Linux only.

    Raises:
        FileNotFoundError: If the system does not tell.
    """
    peak, before, ended = Peak(), anonymous_bytes(), Event()

    def watch() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            peak.bytes = max(peak.bytes, anonymous_bytes() - before)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
        peak.bytes = max(peak.bytes, anonymous_bytes() - before)


def anonymous_bytes() -> int:
    """Return the memory of this process that no file stands behind."""
    return _status("RssAnon") + _status("RssShmem")


def peak_bytes() -> int:
    """Return the highest memory of this process, files included; unlike `getrusage`, without that of its parent."""
    return _status("VmHWM") if STATUS.is_file() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


def forget_peak() -> None:
    """Let `peak_bytes` begin anew, where the system can: Linux."""
    if STATUS.is_file():
        STATUS.with_name("clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> int:
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) * 1024


def bytes_of(folder: Path) -> int:
    """Return the size of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
