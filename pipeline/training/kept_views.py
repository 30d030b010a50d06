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


Index: TypeAlias = tuple[slice, slice]
"""Rows and columns of a rectangle in a picture."""
Window: TypeAlias = tuple[Index, Index]
"""The same rectangle in a picture and in the mirrored picture; so `picture[window[mirrored]]`."""


class Frame(NamedTuple):
    """Where a photo lies in its square."""

    inside: Window
    """The photo."""
    around: tuple[tuple[Index, ...], tuple[Index, ...]]
    """Rectangles that are all the rest; those of the mirrored picture."""


def window_at(top: int, left: int, height: int, width: int, *, size: int) -> Window:
    """Return the window of a rectangle in a square picture; all in pixels."""
    rows, right = slice(top, top + height), left + width
    return (rows, slice(left, right)), (rows, slice(size - right, size - left))


def frame_at(top: int, left: int, height: int, width: int, *, size: int) -> Frame:
    """Return the frame of a photo in a square picture; all in pixels."""
    inside = window_at(top, left, height, width, size=size)
    straight, mirrored = (_around(index, size) for index in inside)
    return Frame(inside, (straight, mirrored))


def _around(index: Index, size: int) -> tuple[Index, ...]:
    rows, columns = index
    strips = (
        (slice(0, rows.start), slice(0, size)),
        (slice(rows.stop, size), slice(0, size)),
        (rows, slice(0, columns.start)),
        (rows, slice(columns.stop, size)),
    )
    return tuple(strip for strip in strips if all(side.start < side.stop for side in strip))


class Patch(NamedTuple):
    """What a rectangle adds to a picture, or takes from it."""

    window: Window
    """The rectangle."""
    pixels: tuple[Pixels, Pixels]
    """As they are; mirrored."""


class Photo(NamedTuple):
    """A letterboxed photo."""

    frame: Frame
    """Where it lies."""
    pixels: tuple[Pixels, Pixels]
    """As they are; mirrored."""


NOTHING = Patch(window_at(0, 0, 0, 0, size=0), (np.empty((0, 0, 3), np.uint8),) * 2)
"""A region that leaves a photo as it is."""


class Region(NamedTuple):
    """One sample's ROI view."""

    frame: Frame
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
        frame, (window, pixels), on_black = self.regions[row]
        draw_framed(picture, frame, self.grays.fill, self.grays.pad, mirrored=mirrored)
        part = picture[window[mirrored]]
        if on_black:
            np.copyto(part, pixels[mirrored])
        else:
            np.add(part, pixels[mirrored], out=part)


@dataclass(frozen=True, slots=True)
class RestViews:
    """Extra-ROI views."""

    size: int
    """Side of the views in pixels."""
    pad: int
    """Gray level around the photos, in [0, 255]."""
    patches: Sequence[Patch]
    """What the region takes from the photo, by sample."""
    photos: Sequence[Photo]
    """Photos, each once."""
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
        frame, photo = self.photos[self.photo_of[row]]
        window, pixels = self.patches[row]
        draw_framed(picture, frame, photo[mirrored], self.pad, mirrored=mirrored)
        part = picture[window[mirrored]]
        np.subtract(part, pixels[mirrored], out=part)


def draw_framed(picture: Picture, frame: Frame, inside: Pixels | int, pad: int, *, mirrored: bool) -> None:
    """Draw a photo, or one gray level for all of it, and what lies around it."""
    for strip in frame.around[mirrored]:
        picture[strip] = pad
    picture[frame.inside[mirrored]] = inside
