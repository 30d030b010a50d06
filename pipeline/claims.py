"""One process at a time for one result: a claim ends with the process that holds it, however that process ends."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import BusyError


@contextmanager
def claimed(lock: Path, what: str) -> Iterator[None]:
    """Hold `lock` while the block runs.

    Args:
        lock: File that stands for the claim; made if absent, never removed, since others may wait on it.
        what: Result that is claimed, for the message.

    Raises:
        BusyError: If another process holds the claim; the message names it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BusyError(f"{what}: another process is at work here{_advice(file.read())}") from error
        file.truncate(0)
        file.write(f"{os.getpid()} {platform.node()}")
        file.flush()
        yield


def _advice(holder: str) -> str:
    process, _, host = holder.partition(" ")
    if not process:
        return "; wait for it, then run the same command again"
    return f" ({process} on {host}); wait for it, or stop it by `kill {process}`, then run the same command again"
