"""Pictures as data URIs, so that the page needs no other file."""

import base64
from io import BytesIO
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from pipeline.arrays import Image, Mask
from pipeline.imaging.drawing import edge

QUALITY = 80
"""WebP quality of photos; cut-outs up to `LOSSLESS_SIDE` are stored exactly."""
LOSSLESS_SIDE = 96
DIMMED = 0.3
"""Brightness outside the region of interest."""
OUTLINE = np.array([255, 214, 10], np.uint8)
"""Yellow, which no food of the demo and few of the world have, and which all readers tell from its surroundings."""


Shown: TypeAlias = UInt8[np.ndarray, "h w 3"]
"""RGB at the size it has on the page."""
ShownMask: TypeAlias = Bool[np.ndarray, "h w"]
"""Mask at the size it has on the page."""


class Picture(NamedTuple):
    """One `<img>`."""

    uri: str
    """`data:` URI."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    description: str
    """Alternative text."""


def picture(image: Image, description: str) -> Picture:
    """Encode an image; same pixels, same bytes for one version of Pillow."""
    height, width = image.shape[:2]
    buffer = BytesIO()
    options = {"lossless": True} if max(height, width) <= LOSSLESS_SIDE else {"quality": QUALITY}
    Pillow.fromarray(image).save(buffer, format="WEBP", method=6, **options)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(uri, width, height, description)


def shrink(image: Image, longest: int) -> Shown:
    """Return the image with its longer side at most `longest` pixels."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))


def fit_mask(mask: Mask, rect: tuple[int, int, int, int], size: tuple[int, int]) -> ShownMask:
    """Lay a letterboxed mask over the photo it belongs to.

    Args:
        mask: Square mask of a shard.
        rect: Rectangle of the photo inside it: top, left, height, width.
        size: Height and width of the photo as shown.
    """
    top, left, height, width = rect
    part = Pillow.fromarray(mask[top : top + height, left : left + width].astype(np.uint8) * 255)
    return np.asarray(part.resize((size[1], size[0]), Pillow.Resampling.BICUBIC)) > 127  # noqa: PLR2004 - half of 255


def highlight(image: Image, mask: Mask) -> Image:
    """Return the photo with the region of interest outlined and everything else dimmed."""
    shown = np.where(mask[..., np.newaxis], image, (image * DIMMED).astype(np.uint8))
    return np.where(edge(mask)[..., np.newaxis], OUTLINE, shown)
