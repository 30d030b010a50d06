"""How much memory a process may still take, and what it does with memory it no longer needs."""

import ctypes
import platform
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
UNKNOWN = 2**63
"""Where the system does not say, nothing is held back."""


def available_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Return what is free on this machine or in this container, whichever is less, files kept in memory included."""
    return min(_of_machine(meminfo), _of_container(cgroup))


def _of_machine(meminfo: Path) -> int:
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return UNKNOWN


def _of_container(cgroup: Path) -> int:
    try:
        limit, used = ((cgroup / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        return UNKNOWN if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return UNKNOWN


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of handing it back to the kernel after every layer.

    Measured on MobileNetV2 at 224 px, batch 50, two threads: zeroing fresh pages took as much CPU time as the
    arithmetic (6.0 of 11.9 s for two steps); with the heap kept, 0.3 s. No other C library has these switches.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # names of malloc.h
    libc = ctypes.CDLL(None)
    for option, value in ((arena_max, 1), (mmap_max, 0), (trim_threshold, 2**31 - 1)):
        libc.mallopt(option, value)
