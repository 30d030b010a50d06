"""Room for the pixels of a run: memory first, then a file that the system pages in and out."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from pipeline.space import ensure_space


@dataclass
class Room:
    """Where pixels may go; stores share one."""

    memory: int
    """Bytes of memory that are left for them."""
    folder: Path
    """Existing folder of the file for what memory has no room for."""
    in_file: int = 0
    """Bytes that went there."""


SEGMENT = 2**28
"""Bytes by which the file grows."""


class PixelStore:
    """Pixels, filled front to back; room that is never filled takes no memory."""

    def __init__(self, most: int, room: Room | None) -> None:
        """Make room.

        Args:
            most: Bytes that will be filled at most.
            room: Where they go; None keeps all in memory.
        """
        self._to_come, self._room, self._filled, self._in_file = most, room, 0, False
        # NumPy asks for large pages, which take a tenth of the time to be handed out.
        self._bytes: UInt8[np.ndarray, " B"] = np.empty(most if room is None else min(most, room.memory), np.uint8)

    def append(self, pixels: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
        """Take a copy and return it, to be read only.

        Raises:
            SpaceError: If the disk has no room for what memory has none for.
        """
        if self._room is not None:
            self._count(pixels.size, self._room)
        end = self._filled + pixels.size
        kept: UInt8[np.ndarray, Any] = self._bytes[self._filled : end].reshape(pixels.shape)
        np.copyto(kept, pixels)
        self._filled, self._to_come = end, self._to_come - pixels.size
        return kept

    def _count(self, size: int, room: Room) -> None:
        if self._filled + size > len(self._bytes):
            segment = min(self._to_come, max(SEGMENT, size))
            self._bytes, self._filled, self._in_file = _nameless_file(room.folder, segment), 0, True
        if self._in_file:
            room.in_file += size
        else:
            room.memory -= size


def _nameless_file(folder: Path, size: int) -> UInt8[np.ndarray, " B"]:
    """Return a file that ends with this process; what is never written takes no room on the disk."""
    ensure_space(folder, size)
    path = folder / f"pixels-{os.getpid()}"  # processes of one run share the folder
    path.unlink(missing_ok=True)
    mapped: UInt8[np.ndarray, " B"] = torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8).numpy()
    path.unlink()
    return mapped
