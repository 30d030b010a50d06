"""A photo and masks as the models see them: the one way into the models, of shards and of a user's photo alike."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from PIL import Image as Pillow

from pipeline.arrays import Mask
from pipeline.imaging.letterbox import (
    Rect,
    Square,
    SquareMask,
    letterbox,
    letterbox_cutouts,
    letterbox_mask,
    letterbox_rect,
    letterbox_separately,
)
from pipeline.params.data import Geometry


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


def views_of(  # noqa: PLR0913 - everything that defines a view
    photo: Pillow.Image, masks: Iterable[Mask], *, size: int, fill: int, pad: int, geometry: Geometry
) -> Iterator[Views]:
    """Yield the views of each mask; the photo is resized once.

    Args:
        photo: Photo at full size, RGB.
        masks: Regions of interest in it.
        size: Side of the views in pixels.
        fill: Gray level in [0, 255] of the pixels a view hides.
        pad: Gray level around the photo.
        geometry: `released` rounds the photo's sides as the released code does, and resizes each view on its own.
    """
    rect = letterbox_rect(photo.height, photo.width, size=size, geometry=geometry)
    boxed = letterbox(photo, size=size, pad=pad, rect=rect)
    for mask in masks:
        if geometry == "exact":
            roi, extra_roi = letterbox_cutouts(photo, boxed, mask, fill=fill, pad=pad, rect=rect)
        else:
            roi, extra_roi = letterbox_separately(photo, mask, size=size, fill=fill, pad=pad, rect=rect)
        yield Views(rect, letterbox_mask(mask, size=size, rect=rect), roi, extra_roi)
