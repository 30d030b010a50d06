"""Fit photos, masks and cut-outs into a square without distortion, as the released code does.

The long side becomes exactly the side of the square. The released code multiplies by a floating-point ratio and
rounds down, which leaves some photos one pixel short; integers do not. `letterbox_rect` knows both geometries, and
everything else takes its rectangle.

Reference:
    arXiv 2407.08257, section 4.1; gray padding, centring and bicubic from the released code.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from pipeline.arrays import Image, Mask
from pipeline.params.stages import Geometry

# Split a picture into the two complementary cut-outs of RveRNet.
#
# Reference:
#     arXiv 2407.08257, Figure 2.


class CutoutPair(NamedTuple):
    """One picture seen twice; together the views hold every pixel once."""

    roi: Image
    """Inside of the mask kept, outside filled."""
    extra_roi: Image
    """Outside of the mask kept, inside filled."""


def cut_out(photo: Pillow.Image, mask: Mask, *, fill: int) -> Pillow.Image:
    """Hide everything outside of a mask: the ROI. The extra-ROI is the cut-out of the inverted mask.

    Pillow's paste takes a fifth of the time of `numpy.where`, which repeats the mask for every channel.

    Args:
        photo: Picture to cut from, RGB.
        mask: What to keep, of the size of the photo.
        fill: Gray level in [0, 255] of the hidden pixels.
    """
    cutout = Pillow.new("RGB", photo.size, (fill, fill, fill))
    cutout.paste(photo, mask=Pillow.fromarray(mask))
    return cutout


WHITE = 255

# Letters of its own for each size: jaxtyping compares equal letters within a call.
Square: TypeAlias = UInt8[np.ndarray, "S S 3"]
"""Letterboxed picture."""
SquareMask: TypeAlias = Bool[np.ndarray, "S S"]
"""Letterboxed mask."""
Fitted: TypeAlias = UInt8[np.ndarray, "h w 3"]
"""Picture of the size of its rectangle."""


class Rect(NamedTuple):
    """Where the photo lies inside the square, in pixels."""

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
    longest = max(height, width)
    fitted_height, fitted_width = (max(1, _fitted(side, longest, size, geometry)) for side in (height, width))
    return Rect((size - fitted_height + 1) // 2, (size - fitted_width + 1) // 2, fitted_height, fitted_width)


def _fitted(side: int, longest: int, size: int, geometry: Geometry) -> int:
    return side * size // longest if geometry == "exact" else int(side * (size / longest))


def letterbox(photo: Pillow.Image, *, size: int, pad: int, rect: Rect | None = None) -> Square:
    """Resize an RGB photo by bicubic, which averages when it shrinks, and surround it with gray level `pad`.

    It goes where `rect` says, by default where `letterbox_rect` places it.
    """
    rect = rect or letterbox_rect(photo.height, photo.width, size=size)
    return _framed(_fit(photo, rect), rect, size=size, pad=pad)


def letterbox_mask(mask: Mask, *, size: int, rect: Rect | None = None) -> SquareMask:
    """Resize a mask: True where more than half of a pixel's area is inside.

    A mask that has pixels keeps at least one, that of the greatest share, however thin it is.
    """
    rect = rect or letterbox_rect(*mask.shape, size=size)
    shares = Pillow.fromarray(mask.astype(np.float32)).resize((rect.width, rect.height), Pillow.Resampling.BOX)
    covered = np.asarray(shares)
    # Half of a pixel up to the rounding of 32 bit sums counts as half, not as more.
    kept = covered > 0.5 + 1e-5
    if mask.any() and not kept.any():
        kept.flat[covered.argmax()] = True
    square = np.zeros((size, size), np.bool_)
    square[rect.inside] = kept
    return square


def letterbox_cutouts(  # noqa: PLR0913 - a photo, its mask, and where and between which grays they go
    photo: Pillow.Image, boxed: Square, mask: Mask, *, fill: int, pad: int, rect: Rect | None = None
) -> CutoutPair:
    """Cut a photo at full size, then letterbox both views, so that they add up exactly.

    Inside the rectangle ROI + extra-ROI = photo + `fill`, without any rounding: the ROI is resized after masking, as
    released, and the extra-ROI is what it leaves. Resizing both would round three times and clip the overshoot of
    bicubic at the edge of the mask, which breaks the sum by tens of gray levels. Where the ROI overshoots what the
    photo can give, it is clipped to it.

    Args:
        photo: Photo at full size, RGB.
        boxed: The same photo letterboxed; its side is the side of the views.
        mask: Region of interest at full size.
        fill: Gray level in [0, 255] of the pixels a view hides.
        pad: Gray level around the photo.
        rect: Where `boxed` holds the photo; None is where `letterbox_rect` places it.

    Returns:
        Two square views, both padded.
    """
    size = boxed.shape[0]
    rect = rect or letterbox_rect(photo.height, photo.width, size=size)
    inside, extra_roi = rect.inside, boxed.copy()
    kept = _within(_fit(cut_out(photo, mask, fill=fill), rect), boxed[inside], fill)
    extra_roi[inside] -= kept - np.uint8(fill)  # modulo 256, and what comes out is a gray level
    return CutoutPair(_framed(kept, rect, size=size, pad=pad), extra_roi)


def letterbox_separately(  # noqa: PLR0913 - a photo, its mask, and where and between which grays they go
    photo: Pillow.Image, mask: Mask, *, size: int, fill: int, pad: int, rect: Rect
) -> CutoutPair:
    """Cut a photo at full size, then letterbox each view on its own, as the released code does.

    Rounding and the overshoot of bicubic at the edge of the mask then keep the views from adding up to the photo.

    Args:
        photo: Photo at full size, RGB.
        mask: Region of interest at full size.
        size: Side of the views in pixels.
        fill: Gray level in [0, 255] of the pixels a view hides.
        pad: Gray level around the photo.
        rect: Where the photo lies in the views.

    Returns:
        Two square views, both padded.
    """
    views = (cut_out(photo, kept, fill=fill) for kept in (mask, ~mask))
    return CutoutPair(*(letterbox(view, size=size, pad=pad, rect=rect) for view in views))


def _fit(photo: Pillow.Image, rect: Rect) -> Fitted:
    return np.asarray(photo.resize((rect.width, rect.height), Pillow.Resampling.BICUBIC))


def _within(kept: Fitted, photo: Fitted, fill: int) -> Fitted:
    """Clip an ROI to what leaves the extra-ROI `photo` + `fill` - ROI within [0, 255]; nothing here exceeds 8 bits."""
    highest = np.uint8(WHITE - fill)
    above = np.minimum(photo, highest) + np.uint8(fill)
    clipped: Fitted = np.minimum(kept, above)
    if fill:
        np.maximum(clipped, np.maximum(photo, highest) - highest, out=clipped)
    return clipped


def _framed(image: Fitted, rect: Rect, *, size: int, pad: int) -> Square:
    square = np.full((size, size, 3), pad, np.uint8)
    square[rect.inside] = image
    return square


# A photo and masks as the models see them: the one way into the models, of shards and of a user's photo alike.


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
