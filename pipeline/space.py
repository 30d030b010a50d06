"""Room on disk: asked for before the work, and named in one line when it runs out all the same."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import PipelineError, SpaceError

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
