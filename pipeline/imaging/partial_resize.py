"""Resize a picture that holds something in one part only, at the cost of that part and to the very same bytes.

Pillow resizes along rows first, rounds, then goes along columns. In the first pass a row depends on itself alone, in
the second a column does, and one of a single value stays as it is. So only rows that hold something take the first
pass, and only columns that something reached take the second. Of what a pass would write, only what something reached
is asked for where `resize_window` knows how. In pictures more than twice as high as wide Pillow may begin with the
columns; these few are resized as a whole.
"""

import math

from PIL import Image as Pillow

from pipeline.imaging.cropped_mask import Extent, Index
from pipeline.imaging.resize_window import BICUBIC_REACH, Window, bicubic_window

SUPPORT = {Pillow.Resampling.BOX: 0.5, Pillow.Resampling.BICUBIC: BICUBIC_REACH}
"""How far a filter reaches to each side, in pixels of the smaller picture."""
TALL = 2
"""Height by width up to which Pillow begins with the rows for certain."""


def resize_part(  # noqa: PLR0913 - a picture in parts, and how to resize it
    rows: Pillow.Image, extent: Extent, method: Pillow.Resampling, *, height: int, to: tuple[int, int], around: int
) -> tuple[Pillow.Image, Index]:
    """Resize a picture that is of one value outside of `extent`.

    Args:
        rows: Its rows from `extent.top` to `extent.bottom`, in full width.
        extent: Where it holds something else.
        method: Filter.
        height: Rows of the whole picture.
        to: Width and height of the result.
        around: The one value, of every channel.

    Returns:
        Part of the resized picture, and where it lies; around it is the one value.
    """
    if height > TALL * rows.width:
        return _among(rows, extent.top, height, around).resize(to, method), (slice(0, to[1]), slice(0, to[0]))
    strip, columns = _resized_across(rows, extent, method, to[0])
    part, reached = _resized_down(_among(strip, extent.top, height, around), extent, method, to[1])
    return part, (reached, columns)


def _resized_across(
    rows: Pillow.Image, extent: Extent, method: Pillow.Resampling, to: int
) -> tuple[Pillow.Image, slice]:
    """Return the columns that depend on the extent, and which of `to` they are."""
    columns = _reached(extent.left, extent.right, method, length=rows.width, to=to)
    window = _window(columns, method, length=rows.width, to=to)
    (start, stop), first = window.box, window.pixels.start
    resized = rows.resize((window.size, rows.height), method, (start, 0, stop, rows.height))
    return resized.crop((columns.start - first, 0, columns.stop - first, rows.height)), columns


def _resized_down(
    strip: Pillow.Image, extent: Extent, method: Pillow.Resampling, to: int
) -> tuple[Pillow.Image, slice]:
    """Return at least the rows that depend on the extent, and which of `to` they are."""
    rows = _reached(extent.top, extent.bottom, method, length=strip.height, to=to)
    window = _window(rows, method, length=strip.height, to=to)
    start, stop = window.box
    return strip.resize((strip.width, window.size), method, (0, start, strip.width, stop)), window.pixels


def _among(rows: Pillow.Image, top: int, height: int, around: int) -> Pillow.Image:
    """Return rows where they belong, among rows of one value."""
    bands = len(rows.getbands())
    picture = Pillow.new(rows.mode, (rows.width, height), around if bands == 1 else (around,) * bands)
    picture.paste(rows, (0, top))
    return picture


def _reached(first: int, end: int, method: Pillow.Resampling, *, length: int, to: int) -> slice:
    """Return the pixels of a resized line that depend on some of its pixels, or one more to each side."""
    scale = length / to
    reach = SUPPORT[method] * max(scale, 1.0) + 1
    start, stop = math.floor((first - reach) / scale - 0.5), math.ceil((end + reach) / scale - 0.5)
    return slice(max(0, start), min(to, stop + 1))


def _window(pixels: slice, method: Pillow.Resampling, *, length: int, to: int) -> Window:
    """Return a window that holds some pixels of a resized line."""
    if method is Pillow.Resampling.BICUBIC:
        return bicubic_window(pixels, length=length, to=to)
    return Window(slice(0, to), (0, length))  # where pixels count wholly or not at all, rounding may decide
