"""How far two masks of one photo agree, as numbers and as a picture.

Reference:
    Boundary IoU: Cheng et al., arXiv 2103.16562.
"""

import cv2
import numpy as np

from pipeline.arrays import Image, Mask
from pipeline.imaging.contact_sheet import edge

EXTRA, MISSED = np.array([255, 0, 200], np.float32), np.array([0, 200, 255], np.float32)
"""Magenta for what only the second mask has, cyan for what only the first has."""
TINT = 0.55
"""Share of the tint where the masks differ."""
DIMMED = 0.35
"""Brightness where neither mask is."""


def iou(mask: Mask, other: Mask) -> float:
    """Return intersection over union in [0, 1]; 1 where both are empty."""
    union = int(np.count_nonzero(mask | other))
    return int(np.count_nonzero(mask & other)) / union if union else 1.0


def boundary_iou(mask: Mask, other: Mask, *, width: float) -> float:
    """Return the IoU of the rims of two masks, which weighs small errors of large masks as much as those of small ones.

    Args:
        mask: First mask.
        other: Second mask.
        width: Width of a rim as a share of the photo's diagonal; at least one pixel.
    """
    pixels = max(1, round(width * float(np.hypot(*mask.shape))))
    return iou(rim(mask, pixels), rim(other, pixels))


def rim(mask: Mask, pixels: int) -> Mask:
    """Return the pixels of a mask that as many erosions by 3 x 3 would take; beyond the photo nothing is inside."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_C, cv2.DIST_MASK_3)[1:-1, 1:-1]
    outer: Mask = mask & (depth <= pixels)
    return outer


def compare_masks(photo: Image, mask: Mask, other: Mask) -> Image:
    """Return the photo with the first mask outlined, what the second misses in cyan and what it adds in magenta."""
    shown = np.where((mask | other)[..., np.newaxis], photo, photo * DIMMED).astype(np.float32)
    for region, colour in ((other & ~mask, EXTRA), (mask & ~other, MISSED)):
        shown[region] = (1 - TINT) * shown[region] + TINT * colour
    shown[edge(mask)] = 255
    return shown.astype(np.uint8)
