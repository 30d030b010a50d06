"""What the mask of each category in a label map looks like: size, place and number of parts."""

from typing import NamedTuple

import cv2
import numpy as np

from pipeline.arrays import LabelMap, Mask


class Region(NamedTuple):
    """All pixels of one value; columns and rows are inclusive."""

    area: int
    """Number of pixels, at least 1."""
    x0: int
    """Left column."""
    y0: int
    """Top row."""
    x1: int
    """Right column."""
    y1: int
    """Bottom row."""
    components: int
    """8-connected parts."""


def regions_by_value(label_map: LabelMap) -> dict[int, Region]:
    """Describe every value but 0, in ascending order; together the areas are the foreground."""
    counts = np.bincount(label_map.ravel(), minlength=1)
    return {int(value): region_of(label_map == value) for value in np.flatnonzero(counts) if value}


def region_of(mask: Mask) -> Region:
    """Describe the True pixels of a mask that has at least one."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    inside = np.ascontiguousarray(mask[top : top + height, left : left + width])
    # OpenCV counts the background as a component, even where no pixel belongs to it.
    parts, _ = cv2.connectedComponents(inside.view(np.uint8), connectivity=8)
    return Region(
        area=int(np.count_nonzero(inside)),
        x0=left,
        y0=top,
        x1=left + width - 1,
        y1=top + height - 1,
        components=parts - 1,
    )
