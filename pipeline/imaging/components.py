"""Regions of label maps (area, bounding box, connected components), and the agreement of two masks.

Reference:
    Boundary IoU: Cheng et al., arXiv 2103.16562.
"""

from typing import NamedTuple

import cv2
import numpy as np

from pipeline.arrays import Image, LabelMap, Mask
from pipeline.imaging.drawing import edge

EXTRA, MISSED = np.array([255, 0, 200], np.float32), np.array([0, 200, 255], np.float32)
"""Colour of pixels of the second mask only, magenta, and of the first only, cyan."""
TINT = 0.55  # opacity of the colour where the masks differ
DIMMED = 0.35  # brightness of pixels of neither mask


class LabelledRegion(NamedTuple):
    """Pixels of one value: their number, at least 1, bounding box, inclusive, and number of 8-connected components."""

    area: int
    x0: int
    y0: int
    x1: int
    y1: int
    components: int


def regions_by_value(label_map: LabelMap) -> dict[int, LabelledRegion]:
    """Return the region of every value but 0, in ascending order."""
    counts = np.bincount(label_map.ravel(), minlength=1)
    return {int(value): region_of(label_map == value) for value in np.flatnonzero(counts) if value}


def region_of(mask: Mask) -> LabelledRegion:
    """Return the region of a mask that has at least one pixel."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    inside = np.ascontiguousarray(mask[top : top + height, left : left + width])
    # OpenCV counts the background as a component, even if it has no pixel.
    parts, _ = cv2.connectedComponents(inside.view(np.uint8), connectivity=8)
    area = int(np.count_nonzero(inside))
    return LabelledRegion(area, left, top, left + width - 1, top + height - 1, components=parts - 1)


def iou(mask: Mask, other: Mask) -> float:
    """Return intersection over union in [0, 1]; 1 where both are empty."""
    union = int(np.count_nonzero(mask | other))
    return int(np.count_nonzero(mask & other)) / union if union else 1.0


def boundary_iou(mask: Mask, other: Mask, *, width: float) -> float:
    """Return the IoU of the rims of two masks, which weighs errors of large and small masks alike.

    The width of a rim is a share of the photo's diagonal, but at least one pixel.
    """
    pixels = max(1, round(width * float(np.hypot(*mask.shape))))
    return iou(rim(mask, pixels), rim(other, pixels))


def rim(mask: Mask, pixels: int) -> Mask:
    """Return the pixels that so many erosions by 3 x 3 would remove; outside the photo the mask is False."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_C, cv2.DIST_MASK_3)[1:-1, 1:-1]
    outer: Mask = mask & (depth <= pixels)
    return outer


def compare_masks(photo: Image, mask: Mask, other: Mask) -> Image:
    """Return the photo with the first mask outlined, and the pixels that the second misses or adds in colour."""
    shown = np.where((mask | other)[..., np.newaxis], photo, photo * DIMMED).astype(np.float32)
    for region, colour in ((other & ~mask, EXTRA), (mask & ~other, MISSED)):
        shown[region] = (1 - TINT) * shown[region] + TINT * colour
    shown[edge(mask)] = 255
    return shown.astype(np.uint8)
