"""Split a picture into the two complementary cut-outs of RveRNet.

Reference:
    arXiv 2407.08257, Figure 2.
"""

from typing import NamedTuple

from PIL import Image as Pillow

from pipeline.arrays import Image, Mask


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
