"""Where the foods of a photo are: clicks and boxes answered by a mask source, or a mask that somebody drew."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from pipeline.arrays import Image, Mask
from pipeline.datasets.prompts import Prompt, clipped, label_of
from pipeline.imaging.decode import read_binary_mask, read_label_map
from pipeline.inference.inputs import (
    MASK_ENDING,
    STANDARD_INPUT,
    PhotoSource,
    PhotoUrl,
    is_mask_beside,
    stem_of,
    visible_files,
)
from pipeline.params.masks import FastSamArchitectureName, SamArchitectureName
from pipeline.runtime.console import note
from pipeline.runtime.errors import DatasetError, EmptyMaskError, ParamsError, SeveralFoodsError, counted
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import MaskSource, PromptedMask, PromptedPhoto, prompted_masks, propose
from pipeline.segmentation.registry import create_source, create_source_from_file
from pipeline.segmentation.weights import FASTSAM_FILES, SAM_FILES, OfficialFile, verify_weights_file

DRAWN = "mask file"
"""Method of masks that somebody drew."""
TINY_AREA = 100
"""Pixels of the photo below which a region is worth a word; as `index.tiny_area`."""
MAX_PROPOSALS = 40
"""Proposals a photo at most."""


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
    """`ok`; `tiny`, below `TINY_AREA` pixels; or `empty` where nothing was found and the box or pixel stands in."""
    remark: str = ""
    """What a person should know before they trust an answer, as half a sentence; empty where there is nothing."""


def drawn_region(label: str, mask: Mask, found_by: str) -> Region:
    """Return a region that a person drew.

    Args:
        label: What was asked for.
        mask: At the size of the photo; has at least one pixel.
        found_by: What it was drawn with.
    """
    tiny = _too_small(mask)
    return Region(label, mask, found_by, 1.0, "tiny" if tiny else "ok", tiny)


def _too_small(mask: Mask) -> str:
    """Return what to say of a mask in which a run can see next to nothing; nothing of others."""
    area = int(mask.sum())
    return "" if area >= TINY_AREA else f"of {counted(area, 'pixel')} only: a run sees next to nothing"


@runtime_checkable
class RegionFinder(Protocol):
    """Anything that says where the foods of a photo are."""

    def find(self, photo: Image, path: PhotoSource) -> Sequence[Region]:
        """Return the regions of one photo, which came from `path`."""


@dataclass(frozen=True, slots=True)
class PromptedRegions:
    """Every click and every box is one food, the same in all photos."""

    source: MaskSource
    """Answers the prompts."""
    prompts: tuple[Prompt, ...]
    """At least one."""

    def find(self, photo: Image, path: PhotoSource) -> tuple[Region, ...]:
        """Return one region a prompt, in their order; the source sees the photo once.

        Raises:
            DatasetError: If a prompt lies outside the photo, or is of a kind the source cannot answer.
        """
        try:
            return prompted_regions(self.source, photo, self.prompts)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from error


def prompted_regions(source: MaskSource, photo: Image, prompts: Sequence[Prompt]) -> tuple[Region, ...]:
    """Return the region that a mask source sees at each prompt; where it finds none, the box or pixel itself.

    A box that reaches a little over the border is cut there, and its region says so.

    Raises:
        DatasetError: If a prompt lies outside the photo, or is of a kind the source cannot answer.
    """
    height, width = photo.shape[:2]
    try:
        inside = [clipped(prompt, height=height, width=width) for prompt in prompts]
    except ValueError as error:
        raise DatasetError(str(error)) from error
    asked = {str(number): [prompt] for number, prompt in enumerate(inside)}
    found = prompted_masks(source, [PromptedPhoto(photo, asked)])
    return tuple(map(partial(_answered, source.name), prompts, inside, found.values()))


def _answered(source: str, given: Prompt, prompt: Prompt, found: PromptedMask) -> Region:
    tiny = _too_small(found.mask)
    itself = "the box itself is taken" if prompt.box else "the pixel itself is taken"
    remarks = (
        f"cut at the border from {label_of(given)}" if prompt != given else "",
        f"{source} found nothing there, {itself}" if found.status == "empty" else "",
        tiny,
    )
    status = "tiny" if tiny and found.status == "ok" else found.status
    return Region(label_of(prompt), found.mask, source, found.score, status, "; ".join(filter(None, remarks)))


class MaskPairs(NamedTuple):
    """Which mask of a folder belongs to which photo."""

    masks: dict[PhotoSource, Path]
    """Mask by photo."""
    refusals: dict[PhotoSource, str]
    """Why a photo has none, by photo."""


def pair_masks(photos: Sequence[PhotoSource], folder: Path, *, base: Path) -> MaskPairs:
    """Find the mask of each photo in a folder of masks.

    A mask has the place of its photo, `day1/a.mask.png` or `day1/a.png` for `day1/a.jpg`; where there is none, it is
    the only one with the photo's stem, which no other photo may claim. Case of suffixes and Unicode form are ignored.

    Args:
        photos: Photos as they were named.
        folder: Folder of PNG masks.
        base: Folder whose layout `folder` may repeat; holds all photos that are files.
    """
    masks_at: defaultdict[tuple[str, ...], list[Path]] = defaultdict(list)
    masks_of: defaultdict[str, list[Path]] = defaultdict(list)
    known = {photo.resolve() for photo in photos if isinstance(photo, Path)}
    for file in visible_files(folder):
        if file.suffix.lower() == ".png":
            place = _place(file, folder)
            masks_at[place].append(file)
            if file.resolve() not in known:
                masks_of[place[-1]].append(file)
    exact = {photo: _fitting(masks_at[_place(photo, base)], photo) for photo in photos}
    fitting = {photo: masks or _fitting(masks_of[_place(photo, base)[-1]], photo) for photo, masks in exact.items()}
    claims: defaultdict[Path, list[PhotoSource]] = defaultdict(list)
    for photo, masks in fitting.items():
        if len(masks) == 1:
            claims[masks[0]].append(photo)
    pairs = MaskPairs({}, {})
    for photo, masks in fitting.items():
        expected = folder / f"{'/'.join(_place(photo, base))}.png"
        others = [other for mask in masks for other in claims[mask] if not _same(other, photo)]
        # A mask in its own place belongs there, whoever else found it by its stem.
        rivals = [other for other in others if exact[other] or not exact[photo]]
        if not masks:
            pairs.refusals[photo] = f"{photo}: no mask {expected.relative_to(folder)} in {folder}"
        elif len(masks) > 1:
            pairs.refusals[photo] = f"{photo}: may have several masks, {_listed(masks[:3])}; keep {expected} alone"
        elif rivals:
            pairs.refusals[photo] = (
                f"{photo}: {rivals[0]} may have the same mask, {masks[0]}; add {expected} for this one"
            )
        else:
            pairs.masks[photo] = masks[0]
    return pairs


def _place(source: PhotoSource, base: Path) -> tuple[str, ...]:
    """Return the folders below `base` and the stem of a photo or mask, in composed Unicode."""
    if isinstance(source, PhotoUrl) or source == STANDARD_INPUT:
        return (stem_of(source),)
    parts = source.absolute().relative_to(base.absolute()).parent.parts
    stem = source.name[: -len(MASK_ENDING)] if is_mask_beside(source) else stem_of(source)
    return tuple(unicodedata.normalize("NFC", part) for part in (*parts, stem))


def _same(one: PhotoSource, other: PhotoSource) -> bool:
    return isinstance(one, Path) and isinstance(other, Path) and one.resolve() == other.resolve()


def _fitting(masks: Sequence[Path], photo: PhotoSource) -> list[Path]:
    """Return those named `.mask.png`, or else all; a photo is not its own mask."""
    return [mask for mask in masks if is_mask_beside(mask)] or [mask for mask in masks if not _same(mask, photo)]


@dataclass(frozen=True, slots=True)
class DrawnRegions:
    """Masks from picture files: one food beside black, or ids of a label map."""

    masks: Path | MaskPairs
    """A mask for all photos, or one for each."""
    value: int | None = None
    """The one id of a label map to take; None takes the one food of a binary mask."""
    every: bool = False
    """Take every id of a label map, each as a food of its own."""

    def find(self, photo: Image, path: PhotoSource) -> tuple[Region, ...]:
        """Return one region a value, in ascending order.

        Raises:
            DatasetError: If there is no mask for the photo, its size differs, or it does not hold the value.
        """
        if isinstance(self.masks, MaskPairs):
            if path not in self.masks.masks:
                raise DatasetError(self.masks.refusals[path])
            file = self.masks.masks[path]
        else:
            file = self.masks
        try:
            found = read_masks(file, self.value, every=self.every)
        except SeveralFoodsError as error:
            raise DatasetError(f"{error}; choose one by --value, or --all") from error
        shape = found[0][1].shape
        if shape != photo.shape[:2]:
            (height, width), (rows, columns) = shape, photo.shape[:2]
            raise DatasetError(f"{file}: mask of {width} x {height} pixels, photo {path} has {columns} x {rows}")
        return tuple(drawn_region(label, mask, DRAWN) for label, mask in found)


def read_masks(file: Path, value: int | None = None, *, every: bool = False) -> list[tuple[str, Mask]]:
    """Return name and mask of the foods in a picture of masks; at least one, and none is empty.

    Args:
        file: One food beside black, or a label map.
        value: The one id of a label map to take.
        every: Take all ids of a label map, in ascending order.

    Raises:
        DatasetError: If no pixel has the value.
        EmptyMaskError: If every pixel is black.
        PhotoError: If the file cannot be read.
        SeveralFoodsError: If there are several foods, and neither `value` nor `every` says which.
    """
    if value is None and not every:
        mask, soft = read_binary_mask(file)
        if not mask.any():
            raise EmptyMaskError(f"{file}: every pixel is black; paint the food in white")
        if soft:
            note(f"{file}: a mask of many grays; what is at least half of white counts as food")
        return [("mask", mask)]
    label_map = read_label_map(file)
    present = [int(found) for found in np.unique(label_map) if found]
    if not present:
        raise EmptyMaskError(f"{file}: every pixel is 0; paint the food in any other value")
    if value is not None and value not in present:
        raise DatasetError(f"{file}: no pixel has value {value}; there are {_listed(present)}")
    return [(f"value {each}", label_map == each) for each in (present if value is None else [value])]


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


@dataclass(frozen=True, slots=True)
class ProposedRegions:
    """Whatever a mask source finds by itself."""

    source: MaskSource
    """Looks for foods, and for anything else that has an outline."""

    def find(self, photo: Image, path: PhotoSource) -> tuple[Region, ...]:
        """Return one region a proposal, the most certain first."""
        del path
        return tuple(
            Region(f"proposal {number}", found.mask, self.source.name, found.score, "ok")
            for number, found in enumerate(propose(self.source, photo, limit=MAX_PROPOSALS), start=1)
        )


# Mask sources by name, opened without the graph; weights are a published file, or the folder of `mask_weights`.


MaskMethod: TypeAlias = Literal["grabcut", "sam", "fastsam"]


def open_mask_source(method: MaskMethod, weights: Path | None, device: str) -> MaskSource:
    """Return the mask source called `method`.

    Args:
        method: What turns clicks and boxes into masks.
        weights: Published file, or folder that stage `mask_weights` made; for sam and fastsam.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ParamsError: If weights are missing or not wanted, a package is absent, or the device is not there.
        WeightsError: If the weights are absent, damaged, or those of another source.
    """
    if method == "grabcut":
        if weights is not None:
            raise ParamsError("--mask-weights: grabcut needs none; add --masks sam or --masks fastsam")
        return GrabCut()
    if weights is None:
        raise ParamsError(
            f"--masks {method} needs weights: --mask-weights data/mask_weights/{method}, or {_named(method)}"
        )
    if not weights.is_dir():
        verify_weights_file(weights, official_of(weights), None, remedy=f"fetch {_named(method)}")
    from pipeline.models.device import pick_device  # noqa: PLC0415 - torch takes seconds; grabcut needs none

    place = str(pick_device(device, "device"))
    source = create_source(weights, device=place) if weights.is_dir() else _open_file(method, weights, place)
    if source.name != method:
        raise ParamsError(
            f"--mask-weights {weights}: weights of {source.name}, not of {method}; add --masks {source.name}"
        )
    return source


def _open_file(method: MaskMethod, weights: Path, device: str) -> MaskSource:
    """Open a file by its published name, which says the architecture."""
    return create_source_from_file(
        method, weights, architecture=_architecture(weights) if method == "sam" else None, device=device
    )


def _architecture(weights: Path) -> SamArchitectureName:
    """Return the architecture that a file's name says, as all published ones do."""
    for name in SAM_FILES:
        if name in weights.name:
            return name
    raise ParamsError(
        f"--mask-weights {weights}: the name says no architecture; keep one of {', '.join(SAM_FILES)} in it"
    )


def official_of(weights: Path) -> OfficialFile | None:
    """Return the published file of this name, if there is one."""
    files = [*SAM_FILES.values(), *FASTSAM_FILES.values()]
    return next((file for file in files if file.name == weights.name), None)


def _named(method: MaskMethod) -> str:
    files: dict[SamArchitectureName, OfficialFile] | dict[FastSamArchitectureName, OfficialFile]
    files = SAM_FILES if method == "sam" else FASTSAM_FILES
    return " or ".join(file.name for file in files.values())
