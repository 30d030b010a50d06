"""Prompts from annotated masks as a user would give them: one for every large enough connected part.

A source that predicts from prompts sees nothing else of the annotation.
"""

import hashlib
import json
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool

from pipeline.arrays import Mask
from pipeline.datasets.prompts import Prompt
from pipeline.params.masks import PromptParams
from pipeline.runtime.errors import DatasetError

NUM_COORDINATES = {"point": 2, "box": 4, "box_point": 6}  # by kind of prompt


def load_prompts(text: str, *, sample_id: str) -> tuple[Prompt, ...]:
    """Read a JSON list of {"point": [x, y]} and {"box": [x0, y0, x1, y1]}; a `DatasetError` if it is none or empty."""
    try:
        prompts = tuple(
            Prompt(kind, tuple(map(float, numbers))) for entry in json.loads(text) for kind, numbers in entry.items()
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{sample_id}: prompts {text!r} are no JSON list; run `dvc repro -f index`") from error
    if not prompts or any(len(prompt.coordinates) != NUM_COORDINATES.get(prompt.kind) for prompt in prompts):
        raise DatasetError(f"{sample_id}: prompts {text!r} are neither points nor boxes; mend prompts.csv")
    return prompts


def box_mask(prompt: Prompt, *, height: int, width: int) -> Mask:
    """Return the pixels of a box, corners inclusive, or of a point; a `DatasetError` if it is not inside the photo."""
    x0, y0, x1, y1 = map(int, prompt.bounds())
    if not (0 <= x0 <= x1 < width and 0 <= y0 <= y1 < height):
        raise DatasetError(
            f"the {prompt.kind} {prompt.coordinates} is not inside the photo of {width} x {height} pixels; "
            "mend prompts.csv"
        )
    mask = np.zeros((height, width), np.bool_)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


class MaskPart(NamedTuple):
    """One 8-connected part of a mask: its pixels inside its bounding box, which begins at column and row."""

    left: int
    top: int
    crop: Bool[np.ndarray, "h w"]
    area: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Return its bounding box x0, y0, x1, y1; inclusive."""
        height, width = self.crop.shape
        return self.left, self.top, self.left + width - 1, self.top + height - 1


def prompts_of(mask: Mask, params: PromptParams, *, sample_id: str) -> tuple[Prompt, ...]:
    """Return one prompt per part of a mask that has pixels, the largest part first.

    Each edge of a box moves at random; the box stays inside the photo and keeps a pixel. Seed, sample and part define
    the shift, so that it does not depend on the order of the work.
    """
    parts = parts_of(mask)
    min_area = max(params.min_area, params.min_share * sum(part.area for part in parts))
    prompts = []
    for number, part in enumerate(parts[: params.max_parts]):
        if number > 0 and part.area < min_area:
            continue
        (height, width), (rows, columns) = part.crop.shape, mask.shape
        box, point = part.box, deepest_pixel(part)
        if params.jitter:  # its standard deviation is a share of the box's side
            key = f"{params.seed}/{sample_id}/{number}"
            rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
            moved = np.array(box) + rng.normal(0, params.jitter, 4) * np.array([width, height] * 2)
            x0, y0, x1, y1 = np.clip(moved.round(), 0, [columns - 1, rows - 1] * 2).astype(int).tolist()
            box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
        coordinates = {"box": box, "point": point, "box_point": (*box, *point)}[params.kind]
        prompts.append(Prompt(params.kind, tuple(map(float, coordinates))))
    return tuple(prompts)


def parts_of(mask: Mask) -> list[MaskPart]:
    """Return the 8-connected parts, largest first, equal ones in reading order."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    parts = []
    for label, (left, top, width, height, area) in enumerate(statistics[1:].tolist(), start=1):  # 0 is the background
        crop = labels[top : top + height, left : left + width] == label
        parts.append(MaskPart(left, top, crop, area))
    return sorted(parts, key=lambda part: (-part.area, part.top, part.left))


def deepest_pixel(part: MaskPart) -> tuple[int, int]:
    """Return x, y of the pixel farthest from everything outside the part; of equal ones the first in reading order."""
    depth = cv2.distanceTransform(np.pad(part.crop, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return part.left + column - 1, part.top + row - 1
