"""Masks from prompts: what a source answers to the prompts of a photo, united to one mask a sample."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from pipeline.arrays import AnyImage, Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError
from pipeline.segmentation.source import Answer, MaskSource, box_mask

LEAST_SHARE = 0.03
"""Share of the prompted boxes that an answer must fill; with less, a source has found nothing.

A food fills far more of its box, and a run would be shown a black picture and asked what it is.
"""


class PromptedMask(NamedTuple):
    """The region of interest of one sample as a mask source sees it."""

    mask: Mask
    """Union of the answers; where they fill less than `LEAST_SHARE` the fallback, which always has pixels."""
    score: float
    """Mean score of the answers; 0 for the fallback."""
    status: str
    """`ok`, or `empty` for the fallback."""


class PromptedPhoto(NamedTuple):
    """One photo and what is asked about it."""

    photo: Image
    prompts: Mapping[str, Sequence[Prompt]]
    """At least one prompt for each sample id."""


@runtime_checkable
class BatchSource(MaskSource, Protocol):
    """A mask source that is faster with several photos at once."""

    def answer_batch(self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        """Return the answers of several photos."""


def prompted_mask(source: MaskSource, photo: Image, prompts: Sequence[Prompt], *, sample_id: str) -> PromptedMask:
    """Let a source answer the prompts of one sample.

    Where it finds nothing, or next to nothing of a box, the boxes and clicked pixels themselves stand in.

    Raises:
        DatasetError: If a prompt lies outside the photo, or the source cannot answer it; the message names the sample.
    """
    return prompted_masks(source, [PromptedPhoto(photo, {sample_id: prompts})])[sample_id]


def prompted_masks(source: MaskSource, photos: Sequence[PromptedPhoto]) -> dict[str, PromptedMask]:
    """Let a source answer all prompts of some photos, each photo at once; return the masks by sample id.

    Raises:
        DatasetError: As `prompted_mask`.
    """
    fallbacks = {
        sample_id: _fallback(photo.photo, prompts, sample_id)
        for photo in photos
        for sample_id, prompts in photo.prompts.items()
    }
    masks: dict[str, PromptedMask] = {}
    for photo, answers in zip(photos, _answers(source, photos), strict=True):
        rest = iter(answers)
        for sample_id, prompts in photo.prompts.items():
            masks[sample_id] = _united([next(rest) for _ in prompts], fallbacks[sample_id])
    return masks


def _answers(source: MaskSource, photos: Sequence[PromptedPhoto]) -> list[list[Answer]]:
    asked = [list(chain.from_iterable(photo.prompts.values())) for photo in photos]
    try:
        if isinstance(source, BatchSource):
            return source.answer_batch([photo.photo for photo in photos], asked)
        return [source.answer(photo.photo, prompts) for photo, prompts in zip(photos, asked, strict=True)]
    except DatasetError as error:
        raise DatasetError(f"{', '.join(chain.from_iterable(p.prompts for p in photos))}: {error}") from error


def _united(answers: Sequence[Answer], fallback: Mask) -> PromptedMask:
    mask = _union(answer.mask for answer in answers)
    if mask.any() and mask.sum() >= LEAST_SHARE * fallback.sum():
        return PromptedMask(mask, float(np.mean([answer.score for answer in answers])), "ok")
    return PromptedMask(fallback, 0.0, "empty")


def stand_in(photo: Image, prompts: Sequence[Prompt], *, sample_id: str) -> PromptedMask:
    """Return the prompts themselves as a mask, the fallback for what nobody can answer.

    Raises:
        DatasetError: If a prompt lies outside the photo; the message names the sample.
    """
    return PromptedMask(_fallback(photo, prompts, sample_id), 0.0, "empty")


def _fallback(photo: Image, prompts: Sequence[Prompt], sample_id: str) -> Mask:
    height, width = photo.shape[:2]
    try:
        return _union(box_mask(prompt, height=height, width=width) for prompt in prompts)
    except DatasetError as error:
        raise DatasetError(f"{sample_id}: {error}") from error


def _union(masks: Iterable[Mask]) -> Mask:
    union: Mask = np.logical_or.reduce(list(masks))
    return union
