"""Resize a picture that holds something in one part only, at the cost of that part and to the very same bytes.

Pillow resizes along rows first, rounds, then goes along columns. In the first pass a row depends on itself alone, in
the second a column does, and one of a single value stays as it is. So only rows that hold something take the first
pass, and only columns that something reached take the second. In pictures more than twice as high as wide Pillow may
begin with the columns; these few are resized as a whole.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow

from pipeline.arrays import Mask

SUPPORT = {Pillow.Resampling.BOX: 0.5, Pillow.Resampling.BICUBIC: 2.0}
"""How far a filter reaches to each side, in pixels of the smaller picture."""
TALL = 2
"""Height by width up to which Pillow begins with the rows for certain."""


class Extent(NamedTuple):
    """Smallest rectangle around the pixels of a mask, in pixels; ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """Its rows and columns, an index into the picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def extent_of(mask: Mask) -> Extent | None:
    """Return where a mask has pixels; None where it has none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    return Extent(top, bottom, int(columns[0]), int(columns[-1]) + 1)


def resize_part(  # noqa: PLR0913 - a picture in parts, and how to resize it
    rows: Pillow.Image, extent: Extent, method: Pillow.Resampling, *, height: int, to: tuple[int, int], around: int
) -> tuple[Pillow.Image, slice]:
    """Resize a picture that is of one value outside of `extent`.

    Args:
        rows: Its rows from `extent.top` to `extent.bottom`, in full width.
        extent: Where it holds something else.
        method: Filter.
        height: Rows of the whole picture.
        to: Width and height of the result.
        around: The one value, of every channel.

    Returns:
        Columns of the resized picture, and which; all others hold the one value.
    """
    width, final_height = to
    if height > TALL * rows.width:
        return _among(rows, extent.top, height, around).resize(to, method), slice(0, width)
    columns = _reached(extent, SUPPORT[method], scale=rows.width / width, width=width)
    across = rows.resize((width, rows.height), method).crop((columns.start, 0, columns.stop, rows.height))
    strip = _among(across, extent.top, height, around)
    return strip.resize((strip.width, final_height), method), columns


def _among(rows: Pillow.Image, top: int, height: int, around: int) -> Pillow.Image:
    """Return rows where they belong, among rows of one value."""
    bands = len(rows.getbands())
    picture = Pillow.new(rows.mode, (rows.width, height), around if bands == 1 else (around,) * bands)
    picture.paste(rows, (0, top))
    return picture


def _reached(extent: Extent, support: float, *, scale: float, width: int) -> slice:
    """Return the columns of the result that depend on the extent, or one more to each side."""
    reach = support * max(scale, 1.0) + 1
    first = math.floor((extent.left - reach) / scale - 0.5)
    last = math.ceil((extent.right + reach) / scale - 0.5)
    return slice(max(0, first), min(width, last + 1))
