"""Split a picture into the two complementary cut-outs of RveRNet.

Reference:
    arXiv 2407.08257, Figure 2.
"""

from typing import NamedTuple

import numpy as np

from pipeline.arrays import Image, Mask


class CutoutPair(NamedTuple):
    """One picture seen twice; together the views hold every pixel once."""

    roi: Image
    """Inside of the mask kept, outside filled."""
    extra_roi: Image
    """Outside of the mask kept, inside filled."""


def cut_out(image: Image, mask: Mask, *, fill: int) -> CutoutPair:
    """Separate the region of interest from everything around it.

    Args:
        image: Picture to separate.
        mask: Region of interest.
        fill: Gray level in [0, 255] of the pixels a view hides.

    Returns:
        Two views, each the size of `image`.
    """
    inside, hidden = mask[..., np.newaxis], np.uint8(fill)
    return CutoutPair(roi=np.where(inside, image, hidden), extra_roi=np.where(inside, hidden, image))
