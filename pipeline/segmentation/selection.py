"""Choose, among all the masks found in a photo, the one that a prompt means.

FastSAM's own prompting returns a set without order, ORs boxes with points, and answers a box that nothing fits.

Reference:
    Zhao et al., Fast Segment Anything, arXiv 2306.12156, section 3.3.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float64

from pipeline.arrays import Mask
from pipeline.datasets.prompts import Prompt
from pipeline.segmentation.source import Answer

Found: TypeAlias = Bool[np.ndarray, "N H W"]
"""Masks of one photo."""
Boxes: TypeAlias = Float64[np.ndarray, "N 4"]
"""x0, y0, x1, y1; inclusive."""


class Candidates(NamedTuple):
    """Everything that was found in one photo."""

    masks: Found
    """At the size of the photo, each with at least one pixel."""
    boxes: Boxes
    """Tight bounding boxes of the masks."""
    confidences: Float64[np.ndarray, " N"]
    """In [0, 1]."""

    @classmethod
    def of(cls, masks: Found, confidences: Sequence[float]) -> "Candidates":
        """Keep the masks that have pixels."""
        kept = masks.any(axis=(1, 2)) if len(masks) else np.zeros(0, np.bool_)
        boxes = np.array([_tight_box(mask) for mask in masks[kept]], np.float64).reshape(-1, 4)
        return cls(masks[kept], boxes, np.array(confidences, np.float64)[kept])


def _tight_box(mask: Mask) -> tuple[int, int, int, int]:
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return left, top, left + width - 1, top + height - 1


def choose(found: Candidates, prompt: Prompt, *, min_iou: float) -> Answer:
    """Return the mask that fits a prompt best, or an empty one with score 0.

    A box means the mask whose bounding box overlaps it most; a click the most confident mask under it; both together
    the best overlap among the masks under the click.

    Args:
        found: All masks of the photo.
        prompt: What is asked for.
        min_iou: IoU of bounding box and prompted box in [0, 1] below which a mask does not fit.
    """
    fits = np.ones(len(found.confidences), np.bool_)
    quality = found.confidences
    if prompt.point:
        x, y = map(int, prompt.point)
        fits &= found.masks[:, y, x]
    if prompt.box:
        quality = box_ious(found.boxes, prompt.box)
        fits &= quality >= min_iou
    if not fits.any():
        return Answer(np.zeros(found.masks.shape[1:], np.bool_), 0.0)
    # Of equal fits the more confident one, of equally confident ones the first.
    best = min(np.flatnonzero(fits).tolist(), key=lambda place: (-quality[place], -found.confidences[place], place))
    return Answer(found.masks[best], float(found.confidences[best]))


def box_ious(boxes: Boxes, box: tuple[float, float, float, float]) -> Float64[np.ndarray, " N"]:
    """Return the IoU in [0, 1] of every box with one box, pixels counted with both corners."""
    x0, y0, x1, y1 = box
    width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0) + 1
    height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0) + 1
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    ious: Float64[np.ndarray, " N"] = shared / (areas + (x1 - x0 + 1) * (y1 - y0 + 1) - shared)
    return ious
