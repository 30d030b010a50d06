"""Room on disk: asked for before the work, and named in one line when it runs out all the same."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from pipeline.errors import SpaceError


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


@contextmanager
def space_watched(folder: Path, needed: int) -> Iterator[None]:
    """Turn a full file system or an exhausted quota into one line; `needed` is in bytes.

    Raises:
        SpaceError: If the block meets a full file system.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise SpaceError(
            f"{folder}: the file system is full; {readable(needed)} are needed here in all; "
            "make room and run the same command again to go on"
        ) from error
