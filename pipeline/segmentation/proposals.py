"""What could be meant in a photo nobody has clicked in: masks under a grid of points, for a person to choose from."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.arrays import Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.imaging.letterbox import letterbox_mask
from pipeline.imaging.mask_comparison import iou
from pipeline.segmentation.source import Answer, MaskSource

GRID = 8
"""Points in a row and in a column."""
SAME = 0.7
"""IoU above which two masks are one proposal."""
SHARES = (0.002, 0.9)
"""Smallest and largest share of the photo that is proposed."""
COMPARED_SIDE = 128
"""Pixels of the longer side at which masks are compared."""


class Proposal(NamedTuple):
    """One mask that could be the food."""

    mask: Mask
    """At the size of the photo."""
    score: float
    """The source's confidence in [0, 1]."""
    box: Prompt
    """Its bounding box, the prompt that asks for it."""


def propose(source: MaskSource, photo: Image, *, limit: int) -> list[Proposal]:
    """Return up to `limit` different masks of a photo, the most confident first."""
    answers = source.answer(photo, grid_of_points(*photo.shape[:2]))
    fitting = [answer for answer in answers if SHARES[0] <= answer.mask.mean() <= SHARES[1]]
    ranked = sorted(fitting, key=lambda answer: (-answer.score, -int(answer.mask.sum())))
    return [Proposal(answer.mask, answer.score, _box(answer.mask)) for answer in _different(ranked, limit)]


def grid_of_points(height: int, width: int) -> list[Prompt]:
    """Return the centres of the cells of a grid over a photo, row by row."""
    rows, columns = ((np.arange(GRID) + 0.5) * side // GRID for side in (height, width))
    return [Prompt("point", (float(column), float(row))) for row in rows for column in columns]


def _different(ranked: Sequence[Answer], limit: int) -> list[Answer]:
    kept: list[tuple[Answer, Mask]] = []
    for answer in ranked:
        small = letterbox_mask(answer.mask, size=COMPARED_SIDE)
        if len(kept) < limit and all(iou(small, other) <= SAME for _, other in kept):
            kept.append((answer, small))
    return [answer for answer, _ in kept]


def _box(mask: Mask) -> Prompt:
    left, top, width, height = map(float, cv2.boundingRect(mask.view(np.uint8)))
    return Prompt("box", (left, top, left + width - 1, top + height - 1))
