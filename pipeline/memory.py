"""How much memory a process may still take."""

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
