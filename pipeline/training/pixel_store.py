"""Room for the pixels of a run: memory first, then a file that the system pages in and out."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from pipeline.space import ensure_space, space_watched


@dataclass
class Room:
    """Where pixels may go; stores share one."""

    memory: int
    """Bytes of memory that are left for them."""
    folder: Path
    """Existing folder of the file for what memory has no room for."""
    in_file: int = 0
    """Bytes that went there."""


SEGMENT = 2**26
"""Bytes by which a store grows, in memory as in the file."""


class PixelStore:
    """Pixels of one kind after another; room that is never filled takes no memory."""

    def __init__(self, most: int, room: Room | None) -> None:
        """Begin empty.

        Args:
            most: Bytes that will be filled at most.
            room: Where they go; None keeps all in memory.
        """
        self._to_come, self._room = most, room
        self._segment: UInt8[np.ndarray, " B"] = np.empty(0, np.uint8)
        self._filled, self._in_file = 0, False

    def append(self, pixels: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
        """Take a copy and return it, to be read only.

        Raises:
            SpaceError: If the disk has no room for what memory has none for.
        """
        if self._filled + pixels.size > len(self._segment):
            self._segment, self._filled = self._grown(pixels.size), 0
        end = self._filled + pixels.size
        kept: UInt8[np.ndarray, Any] = self._segment[self._filled : end].reshape(pixels.shape)
        np.copyto(kept, pixels)
        self._filled, self._to_come = end, self._to_come - pixels.size
        if self._room is not None and self._in_file:
            self._room.in_file += pixels.size
        return kept

    def _grown(self, size: int) -> UInt8[np.ndarray, " B"]:
        """Return room for at least `size` bytes."""
        segment, room = min(self._to_come, max(SEGMENT, size)), self._room
        if room is None:
            return np.empty(segment, np.uint8)  # NumPy asks for large pages, which take a tenth of the time
        if size <= room.memory:
            segment = min(segment, room.memory)
            room.memory -= segment
            return np.empty(segment, np.uint8)
        self._in_file = True
        return _nameless_file(room.folder, segment)


def _nameless_file(folder: Path, size: int) -> UInt8[np.ndarray, " B"]:
    """Return a file that ends with this process; the disk holds room for all of it from the start."""
    ensure_space(folder, size)
    path = folder / f"pixels-{os.getpid()}"  # processes of one run share the folder
    path.unlink(missing_ok=True)
    with space_watched(folder, size):
        reserve(path, size)
        mapped: UInt8[np.ndarray, " B"] = torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8).numpy()
    path.unlink()
    return mapped


def reserve(path: Path, size: int) -> None:
    """Write a file of `size` bytes whose room on the disk is taken, not only promised.

    Writing to a mapped file on a disk that has filled up since kills the process without a word (SIGBUS).

    Raises:
        OSError: If the disk has no room for it.
    """
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            return
        for start in range(0, size, SEGMENT):  # macOS
            file.write(bytes(min(SEGMENT, size - start)))
