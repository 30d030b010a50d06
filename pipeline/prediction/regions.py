"""Where the foods of a photo are: clicks and boxes answered by a mask source, or a mask that somebody drew."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from pipeline.arrays import Image, LabelMap, Mask
from pipeline.console import note
from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError, EmptyMaskError, SeveralFoodsError
from pipeline.imaging.decode import read_binary_mask, read_label_map
from pipeline.prediction.photos import MASK_ENDING
from pipeline.segmentation.prompted import PromptedPhoto, prompted_masks
from pipeline.segmentation.proposals import propose
from pipeline.segmentation.source import MaskSource

DRAWN = "mask file"
"""Method of masks that somebody drew."""
MOST = 40
"""Proposals a photo at most."""
SUFFIXES = (MASK_ENDING, ".png")
"""What follows a photo's stem in the name of its mask: beside the photo, or as in the official layout."""


class Region(NamedTuple):
    """One region of interest of a photo."""

    label: str
    """What was asked for, for instance `box 10,20,200,180`."""
    mask: Mask
    """At the size of the photo; has at least one pixel."""
    found_by: str
    """Mask source, or `mask file`."""
    score: float
    """Confidence of the source in [0, 1]."""
    status: str
    """`ok`, or `empty` where the source found nothing and the box or pixel itself stands in."""


@runtime_checkable
class RegionFinder(Protocol):
    """Anything that says where the foods of a photo are."""

    def find(self, photo: Image, path: Path) -> Sequence[Region]:
        """Return the regions of one photo, which came from `path`."""


@dataclass(frozen=True, slots=True)
class PromptedRegions:
    """Every click and every box is one food, the same in all photos."""

    source: MaskSource
    """Answers the prompts."""
    prompts: tuple[Prompt, ...]
    """At least one."""

    def find(self, photo: Image, path: Path) -> tuple[Region, ...]:
        """Return one region a prompt, in their order; the source sees the photo once.

        Raises:
            DatasetError: If a prompt lies outside the photo, or is of a kind the source cannot answer.
        """
        try:
            return regions_at(self.source, photo, self.prompts)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from error


def regions_at(source: MaskSource, photo: Image, prompts: Sequence[Prompt]) -> tuple[Region, ...]:
    """Return the region that a mask source sees at each prompt; where it finds none, the box or pixel itself.

    Raises:
        DatasetError: If a prompt lies outside the photo, or is of a kind the source cannot answer.
    """
    height, width = photo.shape[:2]
    for prompt in prompts:
        if not _inside(prompt, height, width):
            raise DatasetError(
                f"{label_of(prompt)} is not inside the photo of {width} x {height} pixels: its columns are 0 to "
                f"{width - 1}, its rows 0 to {height - 1}"
            )
    asked = {str(number): [prompt] for number, prompt in enumerate(prompts)}
    found = prompted_masks(source, [PromptedPhoto(photo, asked)])
    return tuple(
        Region(label_of(prompt), mask.mask, source.name, mask.score, mask.status)
        for prompt, mask in zip(prompts, found.values(), strict=True)
    )


def _inside(prompt: Prompt, height: int, width: int) -> bool:
    x0, y0, x1, y1 = prompt.bounds()
    return 0 <= x0 <= x1 < width and 0 <= y0 <= y1 < height


def label_of(prompt: Prompt) -> str:
    """Return a prompt as it is typed, for instance `point 120,80`."""
    return f"{prompt.kind} {','.join(f'{number:g}' for number in prompt.coordinates)}"


@dataclass(frozen=True, slots=True)
class DrawnRegions:
    """Masks from picture files: one food beside black, or ids of a label map."""

    masks: Path
    """A mask for all photos, or a folder with a mask of the same stem for each."""
    value: int | None = None
    """The one id of a label map to take; None takes the one food of a binary mask."""
    every: bool = False
    """Take every id of a label map, each as a food of its own."""

    def find(self, photo: Image, path: Path) -> tuple[Region, ...]:
        """Return one region a value, in ascending order.

        Raises:
            DatasetError: If there is no mask for the photo, its size differs, or it does not hold the value.
        """
        file = self._file(path)
        found = self._foods(file)
        shape = found[0][1].shape
        if shape != photo.shape[:2]:
            (height, width), (rows, columns) = shape, photo.shape[:2]
            raise DatasetError(f"{file}: mask of {width} x {height} pixels, photo {path} has {columns} x {rows}")
        return tuple(Region(label, mask, DRAWN, 1.0, "ok") for label, mask in found)

    def _foods(self, file: Path) -> list[tuple[str, Mask]]:
        """Return name and mask of each food; at least one."""
        if self.value is None and not self.every:
            return [("mask", self._only(file))]
        label_map = read_label_map(file)
        return [(f"value {value}", label_map == value) for value in self._values(label_map, file)]

    def _only(self, file: Path) -> Mask:
        try:
            mask, soft = read_binary_mask(file)
        except SeveralFoodsError as error:
            raise DatasetError(f"{error}; choose one by --value, or --all") from error
        if not mask.any():
            raise EmptyMaskError(f"{file}: every pixel is black; paint the food in white")
        if soft:
            note(f"{file}: a mask of many grays; what is at least half of white counts as food")
        return mask

    def _file(self, photo: Path) -> Path:
        if not self.masks.is_dir():
            return self.masks
        found = [self.masks / f"{photo.stem}{suffix}" for suffix in SUFFIXES]
        existing = [file for file in found if file.is_file()]
        if not existing:
            raise DatasetError(f"{photo}: no mask {found[-1].name} in {self.masks}")
        return existing[0]

    def _values(self, label_map: LabelMap, file: Path) -> tuple[int, ...]:
        present = tuple(int(value) for value in np.unique(label_map) if value)
        if not present:
            raise EmptyMaskError(f"{file}: every pixel is 0; paint the food in any other value")
        if self.value is not None and self.value not in present:
            raise DatasetError(f"{file}: no pixel has value {self.value}; there are {_listed(present)}")
        if self.value is not None:
            return (self.value,)
        return present


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


@dataclass(frozen=True, slots=True)
class ProposedRegions:
    """Whatever a mask source finds by itself."""

    source: MaskSource
    """Looks for foods, and for anything else that has an outline."""

    def find(self, photo: Image, path: Path) -> tuple[Region, ...]:
        """Return one region a proposal, the most certain first."""
        del path
        return tuple(
            Region(f"proposal {number}", found.mask, self.source.name, found.score, "ok")
            for number, found in enumerate(propose(self.source, photo, limit=MOST), start=1)
        )
