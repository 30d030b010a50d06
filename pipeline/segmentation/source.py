"""The one face of every mask source: a photo and prompts in, one mask and score per prompt out."""

import json
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from pipeline.arrays import Image, LabelMap, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.runtime.errors import DatasetError, EmptyMaskError

NUMBERS = {"point": 2, "box": 4, "box_point": 6}
"""Coordinates of each kind of prompt."""


class MaskPrediction(NamedTuple):
    """What a source makes of one prompt."""

    mask: Mask
    """Region of interest at the size of the photo; all False where nothing fits."""
    score: float
    """Confidence in [0, 1]; 0 where nothing fits."""


@runtime_checkable
class MaskSource(Protocol):
    """Anything that answers prompts with masks; a further source is one new file."""

    @property
    def name(self) -> str:
        """Name of the method, stored beside every mask it makes."""

    def answer(self, photo: Image, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Return one answer per prompt, in the order of the prompts."""


def load_prompts(text: str, *, sample_id: str) -> tuple[Prompt, ...]:
    """Read the prompts of a sample table: a JSON list of {"point": [x, y]} and {"box": [x0, y0, x1, y1]}.

    Raises:
        DatasetError: If the text is not of that form or the list is empty.
    """
    try:
        prompts = tuple(
            Prompt(kind, tuple(map(float, numbers))) for entry in json.loads(text) for kind, numbers in entry.items()
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{sample_id}: prompts {text!r} are no JSON list; run `dvc repro -f index`") from error
    if not prompts or any(len(prompt.coordinates) != NUMBERS.get(prompt.kind) for prompt in prompts):
        raise DatasetError(f"{sample_id}: prompts {text!r} are neither points nor boxes; mend prompts.csv")
    return prompts


def box_mask(prompt: Prompt, *, height: int, width: int) -> Mask:
    """Return the pixels of a box, corners inclusive, or the pixel of a point.

    Raises:
        DatasetError: If it does not lie inside the photo of `height` x `width` pixels.
    """
    x0, y0, x1, y1 = map(int, prompt.bounds())
    if not (0 <= x0 <= x1 < width and 0 <= y0 <= y1 < height):
        raise DatasetError(
            f"the {prompt.kind} {prompt.coordinates} is not inside the photo of {width} x {height} pixels; "
            "mend prompts.csv"
        )
    mask = np.zeros((height, width), np.bool_)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


# Masks from annotation: the label map says which pixels belong to a category.


def annotated_mask(label_map: LabelMap, value: int | None, *, sample_id: str) -> Mask:
    """Return the pixels of one category.

    Args:
        label_map: Category ids of a photo, or a binary mask.
        value: Id to look for; None takes every pixel but 0.
        sample_id: Named in the error.

    Raises:
        EmptyMaskError: If no pixel has the value.
    """
    mask = label_map > 0 if value is None else label_map == value
    if not mask.any():
        raise EmptyMaskError(f"{sample_id}: no pixel of the label map has its value; run `dvc repro -f index`")
    return mask
