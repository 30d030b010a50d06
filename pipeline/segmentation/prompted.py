"""Masks from prompts: what a source answers to the prompts of a sample, united to one mask."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.arrays import Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError
from pipeline.segmentation.source import MaskSource, box_mask


class PromptedMask(NamedTuple):
    """The region of interest of one sample as a mask source sees it."""

    mask: Mask
    """Union of the answers; where all are empty the fallback, which always has pixels."""
    score: float
    """Mean score of the answers; 0 for the fallback."""
    status: str
    """`ok`, or `empty` for the fallback."""


def prompted_mask(source: MaskSource, photo: Image, prompts: Sequence[Prompt], *, sample_id: str) -> PromptedMask:
    """Let a source answer the prompts of one sample.

    Where it finds nothing, the boxes and clicked pixels themselves stand in.

    Raises:
        DatasetError: If the source cannot answer a prompt; the message names the sample.
    """
    try:
        answers = source.answer(photo, prompts)
    except DatasetError as error:
        raise DatasetError(f"{sample_id}: {error}") from error
    mask = _union(answer.mask for answer in answers)
    if mask.any():
        return PromptedMask(mask, float(np.mean([answer.score for answer in answers])), "ok")
    return PromptedMask(_fallback(photo, prompts), 0.0, "empty")


def _fallback(photo: Image, prompts: Sequence[Prompt]) -> Mask:
    height, width = photo.shape[:2]
    return _union(box_mask(prompt, height=height, width=width) for prompt in prompts)


def _union(masks: Iterable[Mask]) -> Mask:
    union: Mask = np.logical_or.reduce(list(masks))
    return union
