"""Cut photos into ROI and extra-ROI and fit them into squares without distortion, for shards and new photos alike.

The long side becomes the side of the square. The released code multiplies by a floating-point ratio and rounds down,
which leaves some photos one pixel short; integers do not. `letterbox_rect` implements both geometries.

Reference:
    arXiv 2407.08257, Figure 2 and section 4.1; gray padding, centring and bicubic from the released code.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from pipeline.arrays import Image, Mask
from pipeline.params.stages import Geometry

# Distinct letters for each size: jaxtyping compares equal letters within a call.
Square: TypeAlias = UInt8[np.ndarray, "S S 3"]  # letterboxed picture
SquareMask: TypeAlias = Bool[np.ndarray, "S S"]  # letterboxed mask
Fitted: TypeAlias = UInt8[np.ndarray, "h w 3"]  # picture of the size of its rectangle


class CutoutPair(NamedTuple):
    """Two complementary views of a picture, inside and outside of a mask, which together hold every pixel once."""

    roi: Image
    extra_roi: Image


def cut_out(photo: Pillow.Image, mask: Mask, *, fill: int) -> Pillow.Image:
    """Fill everything outside of a mask with a gray level, which gives the ROI; the inverted mask, the extra-ROI."""
    # Five times as fast as `numpy.where`, which repeats the mask for every channel.
    cutout = Pillow.new("RGB", photo.size, (fill, fill, fill))
    cutout.paste(photo, mask=Pillow.fromarray(mask))
    return cutout


class Rect(NamedTuple):
    """Rectangle of the photo inside the square, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """Rows and columns of the photo, an index into the square."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def letterbox_rect(height: int, width: int, *, size: int, geometry: Geometry = "exact") -> Rect:
    """Place a photo of `height` x `width` pixels in a square of side `size`.

    The long side fills the square, the other one is rounded down but at least 1 pixel; of an odd rest the extra
    pixel lies above or to the left. The `released` geometry rounds both sides down after a multiplication in floating
    point, so that the long side may be `size` - 1.
    """
    longest, sides = max(height, width), (height, width)
    if geometry == "exact":
        rows, columns = (max(1, side * size // longest) for side in sides)
    else:
        rows, columns = (max(1, int(side * (size / longest))) for side in sides)
    return Rect((size - rows + 1) // 2, (size - columns + 1) // 2, rows, columns)


def letterbox(photo: Pillow.Image, *, size: int, pad: int, rect: Rect | None = None) -> Square:
    """Resize an RGB photo by bicubic, which averages when it shrinks, and pad it with gray level `pad`.

    It is placed at `rect`, by default that of `letterbox_rect`.
    """
    rect = rect or letterbox_rect(photo.height, photo.width, size=size)
    return _framed(_fit(photo, rect), rect, size=size, pad=pad)


def letterbox_mask(mask: Mask, *, size: int, rect: Rect | None = None) -> SquareMask:
    """Resize a mask: True where more than half of a pixel's area is inside.

    A mask that has pixels keeps at least the one of the greatest share.
    """
    rect = rect or letterbox_rect(*mask.shape, size=size)
    shares = Pillow.fromarray(mask.astype(np.float32)).resize((rect.width, rect.height), Pillow.Resampling.BOX)
    covered = np.asarray(shares)
    # The tolerance is for the rounding of 32 bit sums: exactly half of a pixel is not more than half.
    kept = covered > 0.5 + 1e-5
    if mask.any() and not kept.any():
        kept.flat[covered.argmax()] = True
    square = np.zeros((size, size), np.bool_)
    square[rect.inside] = kept
    return square


def letterbox_cutouts(  # noqa: PLR0913 - everything that defines a view
    photo: Pillow.Image, boxed: Square, mask: Mask, *, fill: int, pad: int, rect: Rect | None = None
) -> CutoutPair:
    """Cut a photo at full size, then letterbox both views, so that they add up exactly.

    Inside the rectangle ROI + extra-ROI = photo + `fill`, exactly: the ROI is resized after masking, as released, and
    the extra-ROI is the difference. Resizing both would clip the overshoot of bicubic at the edge of the mask, which
    breaks the sum by tens of gray levels. An ROI for which the difference would leave [0, 255] is clipped.

    `boxed` is the photo letterboxed at `rect`, by default that of `letterbox_rect`; see `cut_views` for the rest.
    """
    size = boxed.shape[0]
    rect = rect or letterbox_rect(photo.height, photo.width, size=size)
    boxed_photo, extra_roi = boxed[rect.inside], boxed.copy()
    highest = np.uint8(255 - fill)  # no intermediate exceeds 8 bits
    kept = np.minimum(_fit(cut_out(photo, mask, fill=fill), rect), np.minimum(boxed_photo, highest) + np.uint8(fill))
    kept = np.maximum(kept, np.maximum(boxed_photo, highest) - highest)
    extra_roi[rect.inside] -= kept - np.uint8(fill)  # modulo 256; the result is in [0, 255]
    return CutoutPair(_framed(kept, rect, size=size, pad=pad), extra_roi)


def _fit(photo: Pillow.Image, rect: Rect) -> Fitted:
    return np.asarray(photo.resize((rect.width, rect.height), Pillow.Resampling.BICUBIC))


def _framed(image: Fitted, rect: Rect, *, size: int, pad: int) -> Square:
    square = np.full((size, size, 3), pad, np.uint8)
    square[rect.inside] = image
    return square


class Views(NamedTuple):
    """Input of a model for one region of interest of a photo, which is at a rectangle inside the squares."""

    rect: Rect
    mask: SquareMask
    roi: Square
    extra_roi: Square


def cut_views(  # noqa: PLR0913 - everything that defines a view
    photo: Pillow.Image, masks: Iterable[Mask], *, size: int, fill: int, pad: int, geometry: Geometry
) -> Iterator[Views]:
    """Yield the views of each mask; the photo is resized once.

    The `released` geometry rounds the photo's sides and resizes each view after cutting at full size, as the released
    code does. Rounding and the overshoot of bicubic at the edge of the mask keep those views from adding up.

    Args:
        photo: Photo at full size, RGB.
        masks: Regions of interest in it.
        size: Side of the views in pixels.
        fill: Gray level in [0, 255] of the pixels a view hides.
        pad: Gray level around the photo.
        geometry: `exact` or `released`.
    """
    rect = letterbox_rect(photo.height, photo.width, size=size, geometry=geometry)
    boxed = letterbox(photo, size=size, pad=pad, rect=rect)
    for mask in masks:
        if geometry == "exact":
            roi, extra_roi = letterbox_cutouts(photo, boxed, mask, fill=fill, pad=pad, rect=rect)
        else:
            cutouts = (cut_out(photo, kept, fill=fill) for kept in (mask, ~mask))
            roi, extra_roi = (letterbox(cutout, size=size, pad=pad, rect=rect) for cutout in cutouts)
        yield Views(rect, letterbox_mask(mask, size=size, rect=rect), roi, extra_roi)
