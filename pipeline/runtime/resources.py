"""Room on disk: asked for before the work, and named in one line when it runs out all the same."""

import ctypes
import errno
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from pipeline.runtime.errors import PipelineError, SpaceError

USUAL = 100_000_000
"""Bytes that no stage exceeds beside its photos, masks, shards and weights; those stages state their own need."""


def readable(count: int) -> str:
    """Return a number of bytes for people, for instance 1.23GB; powers of 1000."""
    return str(tqdm.format_sizeof(count, "B"))


def ensure_space(folder: Path, needed: int) -> None:
    """Refuse to start what cannot be finished.

    Args:
        folder: Existing folder on the file system that will be written.
        needed: Bytes still to be written.

    Raises:
        SpaceError: If fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SpaceError(
            f"{folder}: {readable(needed)} are needed here and {readable(free)} are free; "
            "make room on this file system and run the same command again to go on"
        )


def is_full(error: BaseException) -> bool:
    """Tell whether a write failed for want of room, whatever library says so: some wrap the system's error in text."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return True
    return any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT))


def full_place(error: BaseException, folder: Path) -> Path:
    """Return where room is missing: of the places that a stage writes to, the one whose file system has least free.

    Args:
        error: What a write was answered with; what it names comes first, the destination of a copy before its source.
        folder: Where the block was to write.
    """
    named = [getattr(error, "filename2", None), getattr(error, "filename", None)]
    places = [Path(name) for name in named if isinstance(name, str | os.PathLike)]
    places += [folder, Path(tempfile.gettempdir()), Path(os.environ.get("DVC_ROOT", "."))]
    if isinstance(error, OSError) and error.errno == errno.EDQUOT:
        return places[0]  # free bytes tell nothing about a quota
    return min(places, key=lambda place: shutil.disk_usage(_existing(place)).free)


def _existing(place: Path) -> Path:
    place = place.absolute()
    return next(folder for folder in (place, *place.parents) if folder.is_dir())


@contextmanager
def space_watched(folder: Path, needed: int) -> Iterator[None]:
    """Turn a full file system or an exhausted quota into one line; `needed` is in bytes.

    Raises:
        SpaceError: If the block meets a full file system.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, PipelineError) or not is_full(error):
            raise
        place = full_place(error, folder)
        if _existing(place).stat().st_dev == _existing(folder).stat().st_dev:
            what = f"{folder}: the file system is full; {readable(needed)} are needed here in all"
        else:
            what = f"{place}: the file system is full; it is needed while {folder} is written"
        raise SpaceError(f"{what}; make room and run the same command again to go on") from error


@contextmanager
def full_disk_named() -> Iterator[None]:
    """Turn a full file system that nobody foresaw into one line; for stages whose outputs are small.

    Raises:
        SpaceError: If the block meets a full file system.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, PipelineError) or not is_full(error):
            raise
        place = full_place(error, Path.cwd()).absolute()
        free = shutil.disk_usage(_existing(place)).free
        raise SpaceError(
            f"{place}: the file system is full, {readable(free)} are free and up to {readable(USUAL)} are needed; "
            "make room and run the same command again to go on"
        ) from error


# How much memory a process may still take, and what it does with memory it no longer needs.


MEMINFO = Path("/proc/meminfo")
OWN_GROUPS = Path("/proc/self/cgroup")
CGROUP = Path("/sys/fs/cgroup")
UNKNOWN = 2**63
"""Where the system does not say, nothing is held back."""
LOCAL_WORLD_SIZE = "LOCAL_WORLD_SIZE"
"""Variable in which torchrun says how many processes of a run are on this machine."""


def share_of_memory() -> int:
    """Return the bytes that a process may fill with pixels by default: its share of half of what is free."""
    return available_bytes() // 2 // processes_here()


def processes_here() -> int:
    """Return the number of processes on this machine that train the same run."""
    return max(1, int(os.environ.get(LOCAL_WORLD_SIZE, "1")))


def available_bytes(meminfo: Path = MEMINFO, groups: Path = OWN_GROUPS, mounted: Path = CGROUP) -> int:
    """Return what is free on this machine, or in the tightest control group around this process if that is less.

    Files that the system keeps in memory count as free: it drops them when the room is wanted.

    Args:
        meminfo: The machine's own account.
        groups: Control groups of this process, as in `/proc/self/cgroup`.
        mounted: Where control groups are mounted, of version 2 or 1.
    """
    return min(_of_machine(meminfo), *(_of_group(folder) for folder in _groups_around(groups, mounted)))


def _of_machine(meminfo: Path) -> int:
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return UNKNOWN


def _groups_around(groups: Path, mounted: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of all around it; a container sees its own as the mount."""
    yield mounted
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = mounted / "memory" if controllers else mounted
        own = root / place.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _of_group(folder: Path) -> int:
    """Return what a control group has left, UNKNOWN if it sets no limit."""
    for limit, used, cached in (
        ("memory.max", "memory.current", ("active_file", "inactive_file")),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
    ):
        try:
            most, taken = ((folder / name).read_text(encoding="ascii").strip() for name in (limit, used))
            if most == "max":
                return UNKNOWN
            counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            return max(0, int(most) - int(taken) + sum(int(counts.get(name, 0)) for name in cached))
        except (OSError, ValueError):
            continue
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
