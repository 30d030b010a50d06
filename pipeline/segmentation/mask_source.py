"""The interface of a mask source, and one mask a sample from its predictions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from pipeline.arrays import AnyImage, Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.params.masks import FastSamDecoding, SamDecoding
from pipeline.runtime.errors import DatasetError
from pipeline.segmentation.prompts import box_mask

SAM_DECODING = SamDecoding(prompts_per_chunk=16, photos_per_batch=8, threads=2)  # default of SAM and its successors
MIN_FILL = 0.03  # share of the prompted boxes that predicted masks must fill; a food fills far more


class MaskPrediction(NamedTuple):
    """Prediction of a source for one prompt."""

    mask: Mask  # region of interest at the size of the photo; all False where nothing fits
    score: float  # confidence in [0, 1]; 0 where nothing fits


@runtime_checkable
class MaskSource(Protocol):
    """Anything that predicts masks from prompts."""

    @property
    def name(self) -> str:
        """Name of the method, stored beside every mask it makes."""

    def predict(self, photo: Image, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Return one prediction per prompt, in the order of the prompts."""


class NetworkSource(ABC):
    """A mask source that is a network, and so faster with several photos and prompts at once."""

    name: str
    device: Any  # a `torch.device`; this module does without torch
    decoding: SamDecoding | FastSamDecoding

    @abstractmethod
    def predict_batch(
        self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[MaskPrediction]]:
        """Return the predictions of several photos."""

    def predict(self, photo: Image, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Return one prediction per prompt; the class says what the score is."""
        return self.predict_batch([photo], [prompts])[0]

    def micro_batches(self, photos: Sequence[AnyImage]) -> Iterator[slice]:
        """Yield which photos pass the network together.

        On a CPU batches save no time, and one photo at a time gives bytes that do not depend on the others.
        """
        size = 1 if self.device.type == "cpu" else self.decoding.photos_per_batch
        for first in range(0, len(photos), size):
            yield slice(first, first + size)


def predict_in_chunks(
    prompts: Sequence[Prompt], size: int, predict: Callable[[list[Prompt]], Iterable[MaskPrediction]]
) -> list[MaskPrediction]:
    """Return the predictions of prompts in their order, made from at most `size` prompts of one kind at a time.

    Prompts of different kinds have different numbers of points; padding to one length would move the masks.
    """
    predictions: dict[int, MaskPrediction] = {}
    for kind in sorted({prompt.kind for prompt in prompts}):
        indices = [index for index, prompt in enumerate(prompts) if prompt.kind == kind]
        for first in range(0, len(indices), size):
            chunk = indices[first : first + size]
            predictions |= zip(chunk, predict([prompts[index] for index in chunk]), strict=True)
    return [predictions[index] for index in range(len(prompts))]


class PromptedPhoto(NamedTuple):
    """One photo and its prompts."""

    photo: Image
    prompts: Mapping[str, Sequence[Prompt]]  # at least one prompt for each sample id


class PromptedMask(NamedTuple):
    """The region of interest of one sample as a mask source sees it."""

    mask: Mask  # union of the predictions; where they fill less than `MIN_FILL` the fallback, which always has pixels
    score: float  # mean score of the predictions; 0 for the fallback
    status: str  # `ok`, or `empty` for the fallback


def prompted_mask(source: MaskSource, photo: Image, prompts: Sequence[Prompt], *, sample_id: str) -> PromptedMask:
    """Return the mask of one sample; see `prompted_masks`."""
    return prompted_masks(source, [PromptedPhoto(photo, {sample_id: prompts})])[sample_id]


def prompted_masks(source: MaskSource, photos: Sequence[PromptedPhoto]) -> dict[str, PromptedMask]:
    """Return the masks of all samples of some photos by sample id.

    Where the source finds nothing, or next to nothing of a box, the mask is that of `fallback_mask`.

    Raises:
        DatasetError: If a prompt lies outside the photo, or the source does not take it; the message names the sample.
    """
    fallbacks = {}
    for photo in photos:
        for sample_id, prompts in photo.prompts.items():
            fallbacks[sample_id] = fallback_mask(photo.photo, prompts, sample_id=sample_id)
    asked = [list(chain.from_iterable(photo.prompts.values())) for photo in photos]
    try:
        if predict_batch := getattr(source, "predict_batch", None):  # as of `NetworkSource`, by whatever class
            predicted = predict_batch([photo.photo for photo in photos], asked)
        else:
            predicted = [source.predict(photo.photo, prompts) for photo, prompts in zip(photos, asked, strict=True)]
    except DatasetError as error:
        raise DatasetError(f"{', '.join(fallbacks)}: {error}") from error
    masks: dict[str, PromptedMask] = {}
    for photo, predictions in zip(photos, map(iter, predicted), strict=True):
        for sample_id, prompts in photo.prompts.items():
            own, fallback = [next(predictions) for _ in prompts], fallbacks[sample_id]
            mask: Mask = np.logical_or.reduce([prediction.mask for prediction in own])
            if mask.any() and mask.sum() >= MIN_FILL * fallback.mask.sum():
                masks[sample_id] = PromptedMask(mask, float(np.mean([prediction.score for prediction in own])), "ok")
            else:
                masks[sample_id] = fallback
    return masks


def fallback_mask(photo: Image, prompts: Sequence[Prompt], *, sample_id: str) -> PromptedMask:
    """Return the boxes and clicked pixels themselves as a mask; a `DatasetError` names the sample."""
    height, width = photo.shape[:2]
    try:
        mask = np.logical_or.reduce([box_mask(prompt, height=height, width=width) for prompt in prompts])
    except DatasetError as error:
        raise DatasetError(f"{sample_id}: {error}") from error
    return PromptedMask(mask, 0.0, "empty")
