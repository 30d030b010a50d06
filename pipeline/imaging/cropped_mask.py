"""A mask by the rectangle around its pixels, so that what is done with it costs its part of the photo."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool

from pipeline.arrays import Mask

Index: TypeAlias = tuple[slice, slice]
"""Rows and columns of a part of a picture."""
Crop: TypeAlias = Bool[np.ndarray, "h w"]
"""Part of a mask."""


class Extent(NamedTuple):
    """Rectangle around the pixels of a mask, in pixels; ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def inside(self) -> Index:
        """Its rows and columns, an index into the picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True)
class CroppedMask:
    """A mask of a photo."""

    height: int
    """Height of the photo in pixels."""
    width: int
    """Width of the photo in pixels."""
    extent: Extent
    """Outside of it the mask is False."""
    crop: Crop
    """The mask inside `extent`."""

    @classmethod
    def of(cls, mask: Mask) -> "CroppedMask":
        """Return a mask by the smallest rectangle, which has no pixel where the mask has none; nothing is copied."""
        height, width = mask.shape
        rows = np.flatnonzero(mask.any(axis=1))
        if not rows.size:
            return cls(height, width, Extent(0, 0, 0, 0), mask[:0, :0])
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(mask[top:bottom].any(axis=0))
        extent = Extent(top, bottom, int(columns[0]), int(columns[-1]) + 1)
        return cls(height, width, extent, mask[extent.inside])

    def full(self) -> Mask:
        """Return the mask at the size of the photo."""
        mask = np.zeros((self.height, self.width), np.bool_)
        mask[self.extent.inside] = self.crop
        return mask
