"""Masks from prompts: what a source answers to the prompts of a photo, united to one mask a sample."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool

from pipeline.arrays import AnyImage, Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.imaging.components import iou
from pipeline.imaging.letterbox import letterbox_mask
from pipeline.params.masks import PromptParams
from pipeline.runtime.errors import DatasetError
from pipeline.segmentation.source import MaskPrediction, MaskSource, box_mask

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

    def answer_batch(
        self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[MaskPrediction]]:
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


def _answers(source: MaskSource, photos: Sequence[PromptedPhoto]) -> list[list[MaskPrediction]]:
    asked = [list(chain.from_iterable(photo.prompts.values())) for photo in photos]
    try:
        if isinstance(source, BatchSource):
            return source.answer_batch([photo.photo for photo in photos], asked)
        return [source.answer(photo.photo, prompts) for photo, prompts in zip(photos, asked, strict=True)]
    except DatasetError as error:
        raise DatasetError(f"{', '.join(chain.from_iterable(p.prompts for p in photos))}: {error}") from error


def _united(answers: Sequence[MaskPrediction], fallback: Mask) -> PromptedMask:
    mask = _union(answer.mask for answer in answers)
    if mask.any() and mask.sum() >= LEAST_SHARE * fallback.sum():
        return PromptedMask(mask, float(np.mean([answer.score for answer in answers])), "ok")
    return PromptedMask(fallback, 0.0, "empty")


def fallback_mask(photo: Image, prompts: Sequence[Prompt], *, sample_id: str) -> PromptedMask:
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


# Prompts from annotation, as a user would give them: one for every connected part of a mask that is worth a click.
#
# Nothing but these prompts passes from the annotation to a source that answers prompts.


Crop: TypeAlias = Bool[np.ndarray, "h w"]
"""A mask inside the bounding box of one part."""
Box: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1; inclusive."""


class MaskPart(NamedTuple):
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


def parts_of(mask: Mask) -> list[MaskPart]:
    """Return the 8-connected parts, largest first, equal ones in reading order."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    found = []
    for label, (left, top, width, height, area) in enumerate(statistics.tolist()):
        crop = labels[top : top + height, left : left + width] == label
        if label > 0:  # 0 is the background
            found.append(MaskPart(left, top, crop, area))
    return sorted(found, key=lambda part: (-part.area, part.top, part.left))


def _worth_a_prompt(parts: list[MaskPart], params: PromptParams) -> Iterator[MaskPart]:
    least = max(params.min_area, params.min_share * sum(part.area for part in parts))
    for number, part in enumerate(parts[: params.max_parts]):
        if number == 0 or part.area >= least:
            yield part


def _prompt(part: MaskPart, size: tuple[int, int], params: PromptParams, key: str) -> Prompt:
    box: tuple[float, ...] = jitter_box(part.box, size, params.jitter, key) if params.jitter else part.box
    point = deepest_pixel(part)
    coordinates = {"box": box, "point": point, "box_point": (*box, *point)}[params.kind]
    return Prompt(params.kind, tuple(map(float, coordinates)))


def deepest_pixel(part: MaskPart) -> tuple[int, int]:
    """Return x, y of the pixel farthest from everything outside the part; of equal ones the first in reading order."""
    depth = cv2.distanceTransform(np.pad(part.crop, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    row, column = divmod(int(depth.argmax()), depth.shape[1])
    return part.left + column - 1, part.top + row - 1


def jitter_box(box: Box, size: tuple[int, int], jitter: float, key: str) -> Box:
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


# What could be meant in a photo nobody has clicked in: masks under a grid of points, for a person to choose from.


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


def _different(ranked: Sequence[MaskPrediction], limit: int) -> list[MaskPrediction]:
    kept: list[tuple[MaskPrediction, Mask]] = []
    for answer in ranked:
        small = letterbox_mask(answer.mask, size=COMPARED_SIDE)
        if len(kept) < limit and all(iou(small, other) <= SAME for _, other in kept):
            kept.append((answer, small))
    return [answer for answer, _ in kept]


def _box(mask: Mask) -> Prompt:
    left, top, width, height = map(float, cv2.boundingRect(mask.view(np.uint8)))
    return Prompt("box", (left, top, left + width - 1, top + height - 1))
