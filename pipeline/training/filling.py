"""Views on their way from the shards to where they are kept."""

from functools import lru_cache

import numpy as np
import torch

from pipeline.imaging.letterbox import Rect
from pipeline.training.kept_views import (
    Frame,
    Grays,
    Patch,
    Photo,
    Picture,
    Pixels,
    Region,
    Window,
    draw_framed,
    frame_at,
    window_at,
)
from pipeline.training.pixel_store import PixelStore

COPIES = 2
"""Of every pixel: as it is, and mirrored."""


class RegionFilling:
    """Regions of the ROI views that it is given, one after another."""

    def __init__(self, store: PixelStore, size: int) -> None:
        """Begin without a sample.

        Args:
            store: Where the pixels go.
            size: Side of the views in pixels.
        """
        self.regions: list[Region] = []
        self._store, self._empty = store, np.empty((size, size, 3), np.uint8)
        self._empty_of: tuple[Rect, Grays] | None = None

    def append(self, roi: Picture, rect: Rect, grays: Grays) -> None:
        """Take the next sample; a wrong `rect` or wrong `grays` cost memory, not a pixel."""
        frame = _frame(rect, len(roi))
        if self._empty_of != (rect, grays):
            draw_framed(self._empty, frame, grays.fill, grays.pad, mirrored=False)
            self._empty_of = rect, grays
        window = _where_other(roi, self._empty)
        pixels, empty = roi[window[False]], self._empty[window[False]]
        on_black = not empty.any()
        patch = Patch(window, _kept(self._store, pixels if on_black else pixels - empty))
        self.regions.append(Region(frame, patch, on_black))


class PhotoFilling:
    """Photos of the extra-ROI views that it is given; one whose samples follow each other is kept once."""

    def __init__(self, store: PixelStore, size: int) -> None:
        """Begin without a photo; see `RegionFilling`."""
        self.photos: list[Photo] = []
        self.photo_of: list[int] = []
        self._store = store
        self._photo, self._last = (np.empty((size, size, 3), np.uint8) for _ in range(2))

    def append(self, extra_roi: Picture, patch: Patch, rect: Rect, pad: int) -> None:
        """Take the next sample, less what its region took; a wrong `rect` or `pad` cost memory, not a pixel."""
        np.copyto(self._photo, extra_roi)
        part = self._photo[patch.window[False]]
        np.add(part, patch.pixels[False], out=part)
        if not (self.photos and np.array_equal(_words(self._photo), _words(self._last))):
            self.photos.append(self._keep(rect, pad))
            self._photo, self._last = self._last, self._photo
        self.photo_of.append(len(self.photos) - 1)

    def _keep(self, rect: Rect, pad: int) -> Photo:
        size = len(self._photo)
        frame = _frame(rect, size)
        strips = (self._photo[strip] for strip in frame.around[False])
        if any((strip != pad).any() for strip in strips):
            frame = _frame(Rect(0, 0, size, size), size)
        return Photo(frame, _kept(self._store, self._photo[frame.inside[False]]))


@lru_cache
def _frame(rect: Rect, size: int) -> Frame:
    return frame_at(*rect, size=size)


def _kept(store: PixelStore, pixels: Pixels) -> tuple[Pixels, Pixels]:
    straight = store.append(pixels)
    return straight, store.append(torch.from_numpy(straight).flip(1).numpy())  # NumPy takes ten times as long


def _where_other(one: Picture, other: Picture) -> Window:
    """Return a window outside of which two pictures are the same."""
    size, differ = len(one), _words(one) != _words(other)
    rows = np.flatnonzero(differ.any(axis=1))
    if not rows.size:
        return window_at(0, 0, 0, 0, size=size)
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    words = np.flatnonzero(differ[top:bottom].any(axis=0))
    left = int(words[0]) * size // differ.shape[1]
    right = -(-(int(words[-1]) + 1) * size // differ.shape[1])  # rounded up
    return window_at(top, left, bottom - top, right - left, size=size)


def _words(picture: Picture) -> np.ndarray:
    """Return the rows of a picture as the widest numbers that they are whole numbers of: fewer comparisons."""
    flat = picture.reshape(len(picture), -1)
    return flat.view(np.uint64) if flat.shape[1] % 8 == 0 else flat
