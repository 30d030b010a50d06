"""Split a picture into the two complementary cut-outs of RveRNet.

Reference:
    arXiv 2407.08257, Figure 2.
"""

from typing import NamedTuple

from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.imaging.cropped_mask import CroppedMask


class CutoutPair(NamedTuple):
    """One picture seen twice; together the views hold every pixel once."""

    roi: Image
    """Inside of the mask kept, outside filled."""
    extra_roi: Image
    """Outside of the mask kept, inside filled."""


def cut_out(photo: Pillow.Image, mask: CroppedMask, *, fill: int) -> Pillow.Image:
    """Hide everything outside of a mask: the ROI. The extra-ROI is the cut-out of the inverted mask.

    Pillow's paste takes a fifth of the time of `numpy.where`, which repeats the mask for every channel.

    Args:
        photo: Picture to cut from, RGB.
        mask: What to keep.
        fill: Gray level in [0, 255] of the hidden pixels.

    Returns:
        The rows of the picture that the mask's extent has, in full width; all others are hidden.
    """
    top, bottom, left, right = mask.extent
    rows = Pillow.new("RGB", (mask.width, bottom - top), (fill, fill, fill))
    rows.paste(photo.crop((left, top, right, bottom)), (left, 0), Pillow.fromarray(mask.crop))
    return rows
