"""Disk space and memory: checked before the work starts, and reported in one line when the disk fills up anyway."""

import ctypes
import errno
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.runtime.errors import PipelineError, SpaceError

SMALL_OUTPUT = 100_000_000  # bytes that no stage exceeds, except those that write photos, masks, shards or weights
MEMINFO = Path("/proc/meminfo")
OWN_GROUPS = Path("/proc/self/cgroup")
CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = 2**63  # where the system states no limit, none is assumed
LOCAL_WORLD_SIZE = "LOCAL_WORLD_SIZE"  # environment variable of torchrun: number of processes of a run on this machine


def format_bytes(count: int) -> str:
    """Return a number of bytes for people, for instance 1.23GB; powers of 1000."""
    from tqdm import tqdm  # noqa: PLC0415 - the rest needs no package: `doctor` runs without any

    return str(tqdm.format_sizeof(count, "B"))


def ensure_space(folder: Path, needed: int) -> None:
    """Raise `SpaceError` if fewer than `needed` bytes are free on the file system of an existing folder."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SpaceError(
            f"{folder}: {format_bytes(needed)} are needed here and {format_bytes(free)} are free; "
            "make room on this file system and run the same command again to go on"
        )


def is_disk_full(error: BaseException) -> bool:
    """Tell whether a write failed because the disk is full or a quota is used up.

    Some libraries wrap the system's error in text, so the message is searched too.
    """
    codes = (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "errno", None) in codes or any(os.strerror(code) in str(error) for code in codes)


def existing_folder(path: Path) -> Path:
    """Return a folder, or the first of those above it that is there."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


@contextmanager
def catch_disk_full(folder: Path | None = None, needed: int = SMALL_OUTPUT) -> Iterator[None]:
    """Turn a full file system or an exhausted quota into a `SpaceError`.

    The block writes `needed` bytes in all into `folder`; None for a stage whose outputs are small, wherever they are.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, PipelineError) or not is_disk_full(error):
            raise
        # Of all that a stage writes to, the path with the least free space; those that the error names come first, the
        # destination of a copy before its source.
        named = [getattr(error, "filename2", None), getattr(error, "filename", None)]
        paths = [Path(name) for name in named if isinstance(name, str | os.PathLike)]
        paths += [folder or Path.cwd(), Path(tempfile.gettempdir()), Path(os.environ.get("DVC_ROOT", "."))]
        quota = getattr(error, "errno", None) == errno.EDQUOT  # free bytes say nothing about it
        path = paths[0] if quota else min(paths, key=lambda each: shutil.disk_usage(existing_folder(each)).free)
        if folder is None:
            free = shutil.disk_usage(existing_folder(path)).free
            sizes = f"{format_bytes(free)} are free and up to {format_bytes(needed)} are needed"
            what = f"{path.absolute()}: the file system is full, {sizes}; make room"
        elif existing_folder(path).stat().st_dev == existing_folder(folder).stat().st_dev:
            what = f"{folder}: the file system is full; {format_bytes(needed)} are needed here in all; make room"
        else:
            what = f"{path}: the file system is full; it is needed while {folder} is written; make room"
        raise SpaceError(f"{what} and run the same command again to go on") from error


def default_memory_budget() -> int:
    """Return the bytes a process may fill with pixels by default: its share of half the free memory."""
    return available_bytes() // 2 // local_world_size()


def local_world_size() -> int:
    """Return the number of processes on this machine that train the same run."""
    return max(1, int(os.environ.get(LOCAL_WORLD_SIZE, "1")))


def available_bytes(meminfo: Path = MEMINFO, groups: Path = OWN_GROUPS, mounted: Path = CGROUP) -> int:
    """Return the free memory of this machine, or of the tightest control group of this process if that is less.

    The page cache counts as free: the system drops it on demand. Control groups are of version 2 or 1.
    """
    return min(_free_of_machine(meminfo), *(_free_in_group(folder) for folder in _control_groups(groups, mounted)))


def _free_of_machine(meminfo: Path) -> int:
    """Return the free memory; half of all memory where the system does not say what is free, as macOS."""
    with suppress(OSError, ValueError, KeyError):
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return UNLIMITED


def _control_groups(groups: Path, mounted: Path) -> Iterator[Path]:
    """Yield the folders of this process's control group and of its parents; a container sees its own as the mount."""
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


def _free_in_group(folder: Path) -> int:
    """Return the free memory of a control group, `UNLIMITED` if it sets no limit."""
    for limit, used, cached in (
        ("memory.max", "memory.current", ("active_file", "inactive_file")),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
    ):
        with suppress(OSError, ValueError):
            most, taken = ((folder / name).read_text(encoding="ascii").strip() for name in (limit, used))
            if most == "max":
                return UNLIMITED
            counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            return max(0, int(most) - int(taken) + sum(int(counts.get(name, 0)) for name in cached))
    return UNLIMITED


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of returning it to the kernel after every layer.

    Measured on MobileNetV2 at 224 px, batch 50, two threads: zeroing fresh pages took as much CPU time as the
    arithmetic (6.0 of 11.9 s for two steps); with the heap kept, 0.3 s. No other C library has these switches.
    """
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_max, arena_max = -1, -4, -8  # names of malloc.h
        for option, value in ((arena_max, 1), (mmap_max, 0), (trim_threshold, 2**31 - 1)):
            ctypes.CDLL(None).mallopt(option, value)
