"""Views kept by what tells them apart: a photo once, and of every sample the rectangle around its region.

A sample's two views differ from its letterboxed photo, and from the view of an empty region, inside the region alone:

    ROI = empty view + region,   extra-ROI = photo - region   (modulo 256),

which gives every pixel back as it was in the shard, whatever that holds. Of FoodSeg103, the rectangle around a region
takes a fifth of its square, and a photo has five samples. Both are kept mirrored too, since to flip them for every
batch takes longer than all the rest; a sample so takes a third of the bytes of its two views.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import UInt8

Picture: TypeAlias = UInt8[np.ndarray, "S S 3"]
"""A square RGB picture, channels last, values in [0, 255]."""
Pixels: TypeAlias = UInt8[np.ndarray, "h w 3"]
"""Part of one, or what one part adds to another modulo 256."""


class Grays(NamedTuple):
    """What an empty ROI view is made of, values in [0, 255]."""

    fill: int
    """Where the photo lies."""
    pad: int
    """Around the photo."""


class Window(NamedTuple):
    """Where a rectangle lies in a picture."""

    rows: slice
    """Its rows."""
    columns: tuple[slice, slice]
    """Its columns; those in the mirrored picture."""

    def of(self, picture: Picture, *, mirrored: bool) -> Pixels:
        """Return the rectangle in a picture."""
        return picture[self.rows, self.columns[mirrored]]

    def surround(self, picture: Picture, gray: int, *, mirrored: bool) -> None:
        """Fill everything around the rectangle."""
        rows, columns = self.rows, self.columns[mirrored]
        if rows.start > 0:
            picture[: rows.start] = gray
        if rows.stop < len(picture):
            picture[rows.stop :] = gray
        if columns.start > 0:
            picture[rows, : columns.start] = gray
        if columns.stop < len(picture):
            picture[rows, columns.stop :] = gray


def window_at(top: int, left: int, height: int, width: int, *, size: int) -> Window:
    """Return the window of a rectangle in a square picture; all in pixels."""
    right = left + width
    return Window(slice(top, top + height), (slice(left, right), slice(size - right, size - left)))


class Patch(NamedTuple):
    """Pixels at their place."""

    window: Window
    """The place."""
    pixels: tuple[Pixels, Pixels]
    """As they are; mirrored."""


NOTHING = Patch(window_at(0, 0, 0, 0, size=0), (np.empty((0, 0, 3), np.uint8),) * 2)
"""A region that leaves a photo as it is."""


class Region(NamedTuple):
    """One sample's ROI view."""

    photo: Window
    """Where the photo lies."""
    patch: Patch
    """What the region adds to the empty view."""
    on_black: bool
    """Whether that is black there, so that to add is to copy, which takes half as long."""


@dataclass(frozen=True, slots=True)
class RegionViews:
    """ROI views."""

    size: int
    """Side of the views in pixels."""
    grays: Grays
    """Of the empty view."""
    regions: Sequence[Region]
    """Region by sample."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.regions)

    @property
    def bytes_on_gpu(self) -> int:
        """What a GPU takes for them: a picture a sample."""
        return 3 * self.size**2 * len(self.regions)

    def draw(self, row: int, picture: Picture, *, mirrored: bool) -> None:
        """Draw a sample's view, which may be mirrored left to right."""
        photo, patch, on_black = self.regions[row]
        draw_empty(picture, photo, self.grays, mirrored=mirrored)
        part = patch.window.of(picture, mirrored=mirrored)
        if on_black:
            np.copyto(part, patch.pixels[mirrored])
        else:
            np.add(part, patch.pixels[mirrored], out=part)


@dataclass(frozen=True, slots=True)
class RestViews:
    """Extra-ROI views."""

    size: int
    """Side of the views in pixels."""
    pad: int
    """Gray level around the photos, in [0, 255]."""
    patches: Sequence[Patch]
    """What the region takes from the photo, by sample."""
    photos: Sequence[Patch]
    """Letterboxed photos."""
    photo_of: Sequence[int]
    """Which photo, by sample."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.patches)

    @property
    def bytes_on_gpu(self) -> int:
        """What a GPU takes for them: a picture a photo, of which it takes the ROI."""
        return 3 * self.size**2 * len(self.photos)

    def draw(self, row: int, picture: Picture, *, mirrored: bool) -> None:
        """Draw a sample's view, which may be mirrored left to right."""
        window, pixels = self.photos[self.photo_of[row]]
        window.surround(picture, self.pad, mirrored=mirrored)
        np.copyto(window.of(picture, mirrored=mirrored), pixels[mirrored])
        window, pixels = self.patches[row]
        part = window.of(picture, mirrored=mirrored)
        np.subtract(part, pixels[mirrored], out=part)


def draw_empty(picture: Picture, photo: Window, grays: Grays, *, mirrored: bool) -> None:
    """Draw the view of an empty region."""
    photo.surround(picture, grays.pad, mirrored=mirrored)
    photo.of(picture, mirrored=mirrored)[...] = grays.fill
