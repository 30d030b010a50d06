"""Regions of interest of a photo: from clicks and boxes through a mask source, from drawn masks, or proposed."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from pipeline.arrays import Image, Mask
from pipeline.datasets.layout import is_clutter
from pipeline.datasets.prompts import Prompt, clip_to_photo, format_prompt
from pipeline.imaging.decode import read_binary_mask, read_label_map
from pipeline.inference.inputs import MASK_ENDING, STANDARD_INPUT, PhotoSource, PhotoUrl, is_mask_beside, stem_of
from pipeline.runtime.console import note
from pipeline.runtime.errors import DatasetError, EmptyMaskError, ParamsError, SeveralFoodsError, counted
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import MaskSource, PromptedPhoto, prompted_masks
from pipeline.segmentation.proposals import AnySource, ProposalFilter, propose
from pipeline.segmentation.registry import create_source, create_source_from_file
from pipeline.segmentation.weights import CARD, FASTSAM_FILES, SAM_FILES, verify_weights_file

TINY_AREA = 100  # pixels of the photo below which a region gets a remark; as `index.tiny_area`


class Region(NamedTuple):
    """One region of interest of a photo."""

    label: str
    """Prompt or mask, for instance `box 10,20,200,180`."""
    mask: Mask
    """At the size of the photo; has at least one pixel."""
    found_by: str
    """Mask source, or `mask file`."""
    score: float
    """Confidence of the source in [0, 1]."""
    status: str
    """`ok`; `tiny`, below `TINY_AREA` pixels; or `empty` where nothing was found and the box or pixel stands in."""
    remark: str = ""
    """Caveat as half a sentence; empty if none."""


def drawn_region(label: str, mask: Mask, found_by: str) -> Region:
    """Return the region of a drawn mask that has at least one pixel."""
    tiny = _tiny_remark(mask)
    return Region(label, mask, found_by, 1.0, "tiny" if tiny else "ok", tiny)


def _tiny_remark(mask: Mask) -> str:
    """Return the remark of a mask below `TINY_AREA`; empty for others."""
    area = int(mask.sum())
    return "" if area >= TINY_AREA else f"of {counted(area, 'pixel')} only: a run sees next to nothing"


@dataclass(frozen=True, slots=True)
class PromptedRegions:
    """Clicks and boxes, each one food, the same for all photos."""

    source: MaskSource
    prompts: tuple[Prompt, ...]  # at least one

    def find(self, photo: Image, path: PhotoSource) -> tuple[Region, ...]:
        """Return one region per prompt, in their order.

        Raises:
            DatasetError: If a prompt lies outside the photo, or is of a kind the source cannot answer.
        """
        try:
            return prompted_regions(self.source, photo, self.prompts)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from error


def prompted_regions(source: MaskSource, photo: Image, prompts: Sequence[Prompt]) -> tuple[Region, ...]:
    """Return the region of each prompt; where the source finds none, the box or pixel itself.

    A box that reaches over the border is cut there, with a remark.

    Raises:
        DatasetError: If a prompt lies outside the photo, or is of a kind the source cannot answer.
    """
    height, width = photo.shape[:2]
    try:
        inside = [clip_to_photo(prompt, height=height, width=width, any_excess=True) for prompt in prompts]
    except ValueError as error:
        raise DatasetError(str(error)) from error
    keyed = {str(number): [prompt] for number, prompt in enumerate(inside)}
    masks = prompted_masks(source, [PromptedPhoto(photo, keyed)]).values()
    regions = []
    for given, prompt, found in zip(prompts, inside, masks, strict=True):
        tiny, itself = _tiny_remark(found.mask), "box" if prompt.box else "pixel"
        remarks = (
            f"cut at the border from {format_prompt(given)}" if prompt != given else "",
            f"{source.name} found nothing there, the {itself} itself is taken" if found.status == "empty" else "",
            tiny,
        )
        remark, status = "; ".join(filter(None, remarks)), "tiny" if tiny and found.status == "ok" else found.status
        regions.append(Region(format_prompt(prompt), found.mask, source.name, found.score, status, remark))
    return tuple(regions)


def box_between(first: tuple[int, int], second: tuple[int, int]) -> Prompt:
    """Return the box with two opposite corners, (x, y) in pixels of the photo.

    Raises:
        DatasetError: If it has no inside.
    """
    (x0, x1), (y0, y1) = (sorted(axis) for axis in zip(first, second, strict=True))
    if min(x1 - x0, y1 - y0) < 2:  # noqa: PLR2004 - a line has no inside
        raise DatasetError("This box has no inside; choose two opposite corners of the food")
    return Prompt("box", (float(x0), float(y0), float(x1), float(y1)))


class MaskPairs(NamedTuple):
    """Masks of a folder by photo, and why a photo has none."""

    masks: dict[PhotoSource, Path]
    refusals: dict[PhotoSource, str]


def pair_masks(photos: Sequence[PhotoSource], folder: Path, *, base: Path) -> MaskPairs:
    """Find the mask of each photo in a folder of masks.

    A mask, a PNG, lies at the photo's path relative to `base`, `day1/a.mask.png` or `day1/a.png` for `day1/a.jpg`;
    otherwise it is the only one with the photo's stem and matches no other photo. Case of suffixes and Unicode form are
    ignored. `base` is the common parent folder of all photos that are files.
    """
    masks_at: defaultdict[tuple[str, ...], list[Path]] = defaultdict(list)
    masks_of: defaultdict[str, list[Path]] = defaultdict(list)
    known = {photo.resolve() for photo in photos if isinstance(photo, Path)}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() == ".png" and file.is_file() and not is_clutter(file.relative_to(folder)):
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
        # A mask at a photo's relative path is that photo's, even if others match it by stem.
        rivals = [other for other in others if exact[other] or not exact[photo]]
        if not masks:
            pairs.refusals[photo] = f"{photo}: no mask {expected.relative_to(folder)} in {folder}"
        elif len(masks) > 1:
            several = ", ".join(map(str, masks[:3]))
            pairs.refusals[photo] = f"{photo}: may have several masks, {several}; keep {expected} alone"
        elif rivals:
            claim = f"{rivals[0]} may have the same mask, {masks[0]}"
            pairs.refusals[photo] = f"{photo}: {claim}; add {expected} for this one"
        else:
            pairs.masks[photo] = masks[0]
    return pairs


def _place(source: PhotoSource, base: Path) -> tuple[str, ...]:
    """Return the path of a photo or mask relative to `base`, without suffix, in composed Unicode."""
    if isinstance(source, PhotoUrl) or source == STANDARD_INPUT:
        return (stem_of(source),)
    parts = source.absolute().relative_to(base.absolute()).parent.parts
    stem = source.name[: -len(MASK_ENDING)] if is_mask_beside(source) else stem_of(source)
    return tuple(unicodedata.normalize("NFC", part) for part in (*parts, stem))


def _same(one: PhotoSource, other: PhotoSource) -> bool:
    return isinstance(one, Path) and isinstance(other, Path) and one.resolve() == other.resolve()


def _fitting(masks: Sequence[Path], photo: PhotoSource) -> list[Path]:
    """Return the masks named `.mask.png` if there are any, else all but the photo itself."""
    return [mask for mask in masks if is_mask_beside(mask)] or [mask for mask in masks if not _same(mask, photo)]


@dataclass(frozen=True, slots=True)
class DrawnRegions:
    """Masks from picture files: one food on black, or ids of a label map."""

    masks: Path | MaskPairs  # one mask for all photos, or one for each
    value: int | None = None  # id in a label map; None for a binary mask
    every: bool = False  # take every id of a label map, each as one food

    def find(self, photo: Image, path: PhotoSource) -> tuple[Region, ...]:
        """Return one region per value, in ascending order.

        Raises:
            DatasetError: If there is no mask for the photo, its size differs, or it does not hold the value.
        """
        if not isinstance(self.masks, MaskPairs):
            file = self.masks
        elif path in self.masks.masks:
            file = self.masks.masks[path]
        else:
            raise DatasetError(self.masks.refusals[path])
        try:
            found = read_masks(file, self.value, every=self.every)
        except SeveralFoodsError as error:
            raise DatasetError(f"{error}; choose one by --value, or --all") from error
        shape = found[0][1].shape
        if shape != photo.shape[:2]:
            (height, width), (rows, columns) = shape, photo.shape[:2]
            raise DatasetError(f"{file}: mask of {width} x {height} pixels, photo {path} has {columns} x {rows}")
        return tuple(drawn_region(label, mask, "mask file") for label, mask in found)


def read_masks(file: Path, value: int | None = None, *, every: bool = False) -> list[tuple[str, Mask]]:
    """Return name and mask of the foods in a mask file; at least one, and none is empty.

    Args:
        file: Binary mask; with `value` or `every` a label map.
        value: Id to take.
        every: Take all ids, ascending.

    Raises:
        DatasetError: If no pixel has the value.
        EmptyMaskError: If every pixel is black.
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
        raise DatasetError(f"{file}: no pixel has value {value}; there are {', '.join(map(str, present))}")
    return [(f"value {each}", label_map == each) for each in (present if value is None else [value])]


@dataclass(frozen=True, slots=True)
class ProposedRegions:
    """Proposals of a mask source, cleaned; what has an outline may still be no food."""

    source: AnySource
    chosen: ProposalFilter

    def find(self, photo: Image, path: PhotoSource) -> tuple[Region, ...]:
        """Return one region per proposal, the highest score first."""
        del path
        return tuple(
            Region(f"proposal {number}", found.mask, self.source.name, found.score, "ok")
            for number, found in enumerate(propose(self.source, photo, self.chosen), start=1)
        )


RegionFinder: TypeAlias = PromptedRegions | DrawnRegions | ProposedRegions  # how the regions of photos are found
MaskMethod: TypeAlias = Literal["grabcut", "sam", "fastsam", "transformers"]


def open_mask_source(method: MaskMethod, weights: Path | None, device: str) -> MaskSource:
    """Open a mask source.

    Args:
        method: Its name.
        weights: Published file of sam or fastsam, folder of a model of transformers, or a folder written by stage
            `mask_weights`; grabcut has none.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ParamsError: If weights are missing or not wanted, a package is absent, or the device is not there.
        WeightsError: If the weights are damaged.
    """
    if method == "grabcut":
        if weights is not None:
            raise ParamsError("--mask-weights: grabcut needs none; add --masks sam or --masks fastsam")
        return GrabCut()
    names = "a folder that `save_pretrained` wrote"
    if method != "transformers":
        names = " or ".join(file.name for file in (SAM_FILES if method == "sam" else FASTSAM_FILES).values())
    if weights is None:
        raise ParamsError(f"--masks {method} needs weights: --mask-weights data/mask_weights/{method}, or {names}")
    if not weights.is_dir():
        published = {file.name: file for files in (SAM_FILES, FASTSAM_FILES) for file in files.values()}
        verify_weights_file(weights, published.get(weights.name), None, remedy=f"fetch {names}")
    from pipeline.models.device import pick_device  # noqa: PLC0415 - torch takes seconds; grabcut needs none

    torch_device = str(pick_device(device, "device"))
    if (weights / CARD).is_file() or (weights.is_dir() and method != "transformers"):
        source = create_source(weights, device=torch_device)
    else:
        architecture = next((name for name in SAM_FILES if name in weights.name), None) if method == "sam" else None
        if method == "sam" and architecture is None:
            known = ", ".join(SAM_FILES)
            raise ParamsError(f"--mask-weights {weights}: the name says no architecture; keep one of {known} in it")
        source = create_source_from_file(method, weights, architecture=architecture, device=torch_device)
    is_of = source.name if source.name in {"sam", "fastsam"} else "transformers"
    if is_of != method:
        raise ParamsError(f"--mask-weights {weights}: weights of {source.name}, not of {method}; add --masks {is_of}")
    return source
