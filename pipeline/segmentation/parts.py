"""Prompts from annotation, as a user would give them: one for every connected part of a mask that is worth a click.

Nothing but these prompts passes from the annotation to a source that answers prompts.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool

from pipeline.arrays import Mask
from pipeline.datasets.prompts import Prompt
from pipeline.params.masks import PromptParams

Crop: TypeAlias = Bool[np.ndarray, "h w"]
"""A mask inside the bounding box of one part."""
Box: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1; inclusive."""


class Part(NamedTuple):
    """One 8-connected part of a mask."""

    left: int
    """Column at which `crop` begins."""
    top: int
    """Row at which `crop` begins."""
    crop: Crop
    """Its pixels inside its bounding box."""
    area: int
    """Its number of pixels."""

    @property
    def box(self) -> Box:
        """Return its bounding box."""
        height, width = self.crop.shape
        return self.left, self.top, self.left + width - 1, self.top + height - 1


def prompts_of(mask: Mask, params: PromptParams, *, sample_id: str) -> tuple[Prompt, ...]:
    """Return one prompt per part of a mask that has pixels, the largest part first.

    Args:
        mask: Region of interest as annotated.
        params: Kind of prompt, which parts get one, and how unsteady the hand is.
        sample_id: Makes the jitter of every sample its own, whatever the order of the work.
    """
    size = (mask.shape[0], mask.shape[1])
    return tuple(
        _prompt(part, size, params, f"{params.seed}/{sample_id}/{number}")
        for number, part in enumerate(_worth_a_prompt(parts_of(mask), params))
    )


def parts_of(mask: Mask) -> list[Part]:
    """Return the 8-connected parts, largest first, equal ones in reading order."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    found = []
    for label, (left, top, width, height, area) in enumerate(statistics.tolist()):
        crop = labels[top : top + height, left : left + width] == label
        if label > 0:  # 0 is the background
            found.append(Part(left, top, crop, area))
    return sorted(found, key=lambda part: (-part.area, part.top, part.left))


def _worth_a_prompt(parts: list[Part], params: PromptParams) -> Iterator[Part]:
    least = max(params.min_area, params.min_share * sum(part.area for part in parts))
    for number, part in enumerate(parts[: params.max_parts]):
        if number == 0 or part.area >= least:
            yield part


def _prompt(part: Part, size: tuple[int, int], params: PromptParams, key: str) -> Prompt:
    box: tuple[float, ...] = shaken(part.box, size, params.jitter, key) if params.jitter else part.box
    point = deepest_pixel(part)
    coordinates = {"box": box, "point": point, "box_point": (*box, *point)}[params.kind]
    return Prompt(params.kind, tuple(map(float, coordinates)))


def deepest_pixel(part: Part) -> tuple[int, int]:
    """Return x, y of the pixel farthest from everything outside the part; of equal ones the first in reading order."""
    depth = cv2.distanceTransform(np.pad(part.crop, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return part.left + column - 1, part.top + row - 1


def shaken(box: Box, size: tuple[int, int], jitter: float, key: str) -> Box:
    """Move each edge of a box as an unsteady hand would; the box stays inside the photo and keeps a pixel.

    Args:
        box: Exact box.
        size: Height and width of the photo.
        jitter: Standard deviation of an edge, as a share of the box's side.
        key: Same key, same shift.
    """
    height, width = size
    sides = np.array([box[2] - box[0] + 1, box[3] - box[1] + 1] * 2)
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    moved = np.array(box) + np.random.default_rng(seed).normal(0, jitter, 4) * sides
    x0, y0, x1, y1 = np.clip(moved.round(), 0, [width - 1, height - 1] * 2).astype(int).tolist()
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
