"""A photo and masks as the models see them: the one way into the models, of shards and of a user's photo alike."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipeline.arrays import Image, Mask
from pipeline.imaging.letterbox import (
    Rect,
    Square,
    SquareMask,
    letterbox,
    letterbox_cutouts,
    letterbox_mask,
    letterbox_rect,
)


class Views(NamedTuple):
    """One region of interest of one photo."""

    rect: Rect
    """Where the photo lies inside the squares."""
    mask: SquareMask
    """Letterboxed mask."""
    roi: Square
    """Inside of the mask."""
    extra_roi: Square
    """Outside of the mask."""


def views_of(photo: Image, masks: Iterable[Mask], *, size: int, fill: int, pad: int) -> Iterator[Views]:
    """Yield the views of each mask; the photo is resized once.

    Args:
        photo: Photo at full size.
        masks: Regions of interest at full size.
        size: Side of the views in pixels.
        fill: Gray level in [0, 255] of the pixels a view hides.
        pad: Gray level around the photo.
    """
    boxed = letterbox(photo, size=size, pad=pad)
    rect = letterbox_rect(*photo.shape[:2], size=size)
    for mask in masks:
        roi, extra_roi = letterbox_cutouts(photo, boxed, mask, fill=fill, pad=pad)
        yield Views(rect, letterbox_mask(mask, size=size), roi, extra_roi)
