"""Proposals: masks of the foods on a plate where nobody has clicked, cleaned of what is no food or no whole one."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import cv2
import numpy as np
from pydantic import Field, ValidationError

from pipeline.arrays import AnyImage, Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.imaging.letterbox import letterbox_mask
from pipeline.params.base import Section
from pipeline.runtime.errors import ParamsError
from pipeline.segmentation.mask_source import MaskPrediction, MaskSource

GRID = 8  # points in a row and in a column of the grid under which a source of clicks is asked
COMPARED_SIDE = 128  # pixels of the longer side at which proposals are compared


class ProposalFilter(Section):
    """Thresholds of what is proposed; shares are in [0, 1]."""

    min_score: float = Field(default=0.4, ge=0, le=1)
    """The source's confidence below which a mask is dropped."""
    min_share: float = Field(default=0.002, ge=0, le=1)
    """Share of the photo below which a mask is a crumb."""
    max_share: float = Field(default=0.9, ge=0, le=1)
    """Share of the photo above which a mask is the whole picture."""
    max_border: float = Field(default=0.5, ge=0, le=1)
    """Share of the photo's border above which a mask that runs along it is the table."""
    max_iou: float = Field(default=0.7, ge=0, le=1)
    """IoU above which the less confident of two masks is a duplicate."""
    inside: float = Field(default=0.9, gt=0, le=1)
    """Share of a mask that has to lie within a larger one to be part of it."""
    max_contents: float = Field(default=0.35, gt=0, le=1)
    """Share of a mask that its parts may cover; of more it is the plate they lie on, else they are its fragments."""
    limit: int = Field(default=40, ge=1)
    """Proposals a photo, the most confident."""


def parse_filter(texts: Sequence[str]) -> ProposalFilter:
    """Return the thresholds with those of `NAME=VALUE` replaced; a `ParamsError` for another name or value."""
    values = dict(text.partition("=")[::2] for text in texts)
    try:
        return ProposalFilter.model_validate_strings(values)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        if name not in ProposalFilter.model_fields:
            known = ", ".join(ProposalFilter.model_fields)
            raise ParamsError(f"--filter {name}={values[name]}: is none of {known}; write NAME=VALUE") from error
        what = wrong["msg"].removeprefix("Input ")
        meaning = ProposalFilter.model_fields[name].description
        raise ParamsError(f"--filter {name}={values[name]}: {what}; {meaning}") from error


class Proposal(NamedTuple):
    """One mask that could be the food, and its bounding box, the prompt that asks for it."""

    mask: Mask  # at the size of the photo
    score: float  # the source's confidence in [0, 1]
    box: Prompt


@runtime_checkable
class CandidateSource(Protocol):
    """A model that finds masks by itself."""

    @property
    def name(self) -> str:
        """Name of the method."""

    def candidates(self, photo: AnyImage) -> list[MaskPrediction]:
        """Return every mask it finds."""


AnySource: TypeAlias = MaskSource | CandidateSource


def propose(source: AnySource, photo: Image, chosen: ProposalFilter) -> list[Proposal]:
    """Return the masks that a source finds by itself, or else under a grid of clicks, the most confident first."""
    if isinstance(source, CandidateSource):
        found = source.candidates(photo)
    else:
        found = source.predict(photo, point_grid(*photo.shape[:2]))
    proposals = []
    for mask, score in select_foods(found, chosen):
        left, top, width, height = map(float, cv2.boundingRect(mask.view(np.uint8)))
        proposals.append(Proposal(mask, score, Prompt("box", (left, top, left + width - 1, top + height - 1))))
    return proposals


def select_foods(candidates: Sequence[MaskPrediction], chosen: ProposalFilter) -> list[MaskPrediction]:
    """Return the candidates without crumbs, table, duplicates, plates and fragments, the most confident first.

    Plates and fragments are told by what lies in what: a mask whose outline is mostly filled by others is what they lie
    on; else those that lie in it are its parts. The order of the candidates matters among equal ones alone.
    """
    fitting = []
    for each in sorted(candidates, key=lambda each: (-each.score, -int(each.mask.sum()))):
        border = np.concatenate((each.mask[0], each.mask[-1], each.mask[:, 0], each.mask[:, -1]))
        fits = each.score >= chosen.min_score and chosen.min_share <= each.mask.mean() <= chosen.max_share
        if each.mask.any() and fits and border.mean() <= chosen.max_border:
            fitting.append(each)
    small = [letterbox_mask(each.mask, size=COMPARED_SIDE) for each in fitting]
    masks, outlines = (
        np.array(each, np.float32).reshape(len(fitting), COMPARED_SIDE**2)
        for each in (small, list(map(_without_holes, small)))
    )
    areas, filled = masks.sum(axis=1).clip(1), outlines.sum(axis=1).clip(1)
    shared = masks @ masks.T
    ious = shared / (areas[:, np.newaxis] + areas - shared)
    unique: list[int] = []
    for row in range(len(fitting)):
        if all(ious[row, other] <= chosen.max_iou for other in unique):
            unique.append(row)
    smaller = filled[:, np.newaxis] < filled
    part = (shared / areas[:, np.newaxis] >= chosen.inside) & smaller
    surrounded = (masks @ outlines.T / areas[:, np.newaxis] >= chosen.inside) & smaller
    foods = []
    for row in unique:
        contents = masks[[other for other in unique if surrounded[other, row]]].any(axis=0)
        if contents.sum() <= chosen.max_contents * filled[row]:
            foods.append(row)
    whole = [row for row in foods if not part[row, foods].any()]
    return [fitting[row] for row in whole[: chosen.limit]]


def _without_holes(mask: Mask) -> Mask:
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), outlines, -1, 1, cv2.FILLED).astype(np.bool_)


def point_grid(height: int, width: int) -> list[Prompt]:
    """Return the centres of the cells of a grid over a photo, row by row."""
    rows, columns = ((np.arange(GRID) + 0.5) * side // GRID for side in (height, width))
    return [Prompt("point", (float(column), float(row))) for row in rows for column in columns]
