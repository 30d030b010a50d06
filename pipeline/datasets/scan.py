"""Measure photos: decode each once with its annotation, and make a sample of every food in it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.arrays import LabelMap
from pipeline.datasets.index import Category, Sample
from pipeline.datasets.layout import BACKGROUND, PhotoFiles
from pipeline.datasets.problems import FIXES, Problem, ProblemKind
from pipeline.datasets.prompts import clipped, hull, prompts_json
from pipeline.imaging.components import LabelledRegion, region_of, regions_by_value
from pipeline.imaging.decode import Colour, read_binary_mask, read_label_map, read_palette, read_photo
from pipeline.runtime.errors import DatasetError, PhotoError, SeveralFoodsError
from pipeline.runtime.manifest import sha256_of

# Palettes of label maps, held against each other: ids are read by index, so the same index must mean the same food.


@dataclass(frozen=True, slots=True)
class UsedPalette:
    """The palette of one label map."""

    path: str
    """Path of the label map below data/raw."""
    colours: tuple[Colour, ...]
    """Colour by index."""
    used: Mapping[int, Colour]
    """Colour by index of those that pixels have."""


def used_palette(path: str, colours: Sequence[Colour] | None, label_map: LabelMap) -> UsedPalette | None:
    """Return the palette of a label map, None where it has none; ids without an entry have no colour."""
    if colours is None:
        return None
    used = {value: colours[value] for value in np.unique(label_map).tolist() if value < len(colours)}
    return UsedPalette(path, tuple(colours), used)


@dataclass(slots=True)
class Palettes:
    """All palettes of a data set so far."""

    _of_index: dict[int, tuple[Colour, str]] = field(default_factory=dict)
    _of_colour: dict[Colour, tuple[int, str]] = field(default_factory=dict)

    def add(self, palette: UsedPalette) -> None:
        """Note the palette of the next label map.

        Raises:
            DatasetError: If an earlier file gives an index that both use another colour, or a colour another index.
        """
        for index, colour in palette.used.items():
            known, first = self._of_index.setdefault(index, (colour, palette.path))
            number, where = self._of_colour.setdefault(colour, (index, palette.path))
            if known != colour:
                raise _contradicting(palette.path, f"index {index} is {_hex(colour)}, in {first} {_hex(known)}")
            # A table may have a colour twice, if it has it at both indices.
            if number != index and palette.colours[number : number + 1] != (colour,):
                raise _contradicting(palette.path, f"{_hex(colour)} is index {index}, in {where} index {number}")


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _contradicting(path: str, what: str) -> DatasetError:
    return DatasetError(
        f"{path}: palettes differ between label maps, so an index is no category id ({what}); write category ids as "
        "8 bit gray PNG, all by the same numbers"
    )


@dataclass(frozen=True, slots=True)
class ScannedPhoto:
    """One usable photo."""

    samples: tuple[Sample, ...]
    """Its samples in ascending category id, at least one; flags about other photos are still absent."""
    annotation_sha256: str | None
    """Hash of what the annotation says, whatever its file format; None where prompts stand in."""
    palette: UsedPalette | None = None
    """Colours of the ids in its label map, to be held against those of other files; None without a palette."""


class _Photo(NamedTuple):
    height: int
    width: int
    sha256: str
    label_map_sha256: str | None


@dataclass(frozen=True, slots=True)
class Scanner:
    """What measuring a photo depends on, small enough to be sent to another process."""

    raw: Path
    """Folder below which all paths lie."""
    categories: tuple[Category, ...]
    """All foods of the data set."""
    tiny_area: int
    """Masks of fewer pixels get the flag `tiny`."""
    void: tuple[int, ...]
    """Values of label maps that count as background."""

    def scan_all(self, photos: Sequence[PhotoFiles]) -> list[ScannedPhoto | Problem]:
        """Scan several photos; one call costs one exchange between processes."""
        return [self.scan(files) for files in photos]

    def scan(self, files: PhotoFiles) -> ScannedPhoto | Problem:
        """Return the samples of one photo, or what prevents its use."""
        try:
            height, width, _ = read_photo(self.raw / files.photo_path).shape
            if files.annotation_path is None:
                return self._prompted(files, height, width)
        except PhotoError as error:
            return self._unreadable(ProblemKind.PHOTO_UNREADABLE, files.photo_path, error)
        return self._masked(files, self.raw / files.annotation_path, height, width)

    def _masked(self, files: PhotoFiles, path: Path, height: int, width: int) -> ScannedPhoto | Problem:
        binary = files.category is not None
        soft, palette = False, None
        try:
            if binary:
                mask, soft = read_binary_mask(path)
                label_map = mask.view(np.uint8)
            else:
                label_map = read_label_map(path)
                label_map[np.isin(label_map, self.void)] = BACKGROUND
                palette = used_palette(str(files.annotation_path), read_palette(path), label_map)
        except PhotoError as error:
            kind = ProblemKind.MASK_UNREADABLE if binary else ProblemKind.LABEL_MAP_UNREADABLE
            return self._unreadable(kind, str(files.annotation_path), error)
        reason = self._mismatch(label_map, height, width, files)
        return reason or self._annotated(files, label_map, soft=soft, palette=palette)

    def _unreadable(self, kind: ProblemKind, path: str, error: PhotoError) -> Problem:
        mend = f"; {FIXES[kind]}" if isinstance(error, SeveralFoodsError) else ""  # all others say what to do
        return Problem(kind, path, str(error).removeprefix(f"{self.raw / path}: ") + mend)

    def _mismatch(self, label_map: LabelMap, height: int, width: int, files: PhotoFiles) -> Problem | None:
        path = str(files.annotation_path)
        if label_map.shape != (height, width):
            rows, columns = label_map.shape
            detail = f"{columns} x {rows} pixels, but the upright photo has {width} x {height}"
            return Problem(ProblemKind.SIZE_MISMATCH, path, detail)
        values = {int(value) for value in np.unique(label_map)} - {BACKGROUND}
        if not values:
            return Problem(ProblemKind.LABEL_MAP_EMPTY, path, "no pixel but background")
        unknown = values - {category.id for category in self.categories}
        if unknown and files.category is None:
            return Problem(ProblemKind.UNKNOWN_CATEGORY, path, f"unknown ids {', '.join(map(str, sorted(unknown)))}")
        return None

    def _annotated(
        self, files: PhotoFiles, label_map: LabelMap, *, soft: bool, palette: UsedPalette | None
    ) -> ScannedPhoto:
        photo = self._photo(files, *label_map.shape)
        samples = (self._sample(files, photo, *found, soft=soft) for found in self._regions(files, label_map))
        header = f"{files.category} {label_map.shape}".encode()
        return ScannedPhoto(tuple(samples), hashlib.sha256(header + label_map.tobytes()).hexdigest(), palette)

    def _photo(self, files: PhotoFiles, height: int, width: int) -> _Photo:
        label_map = None if files.annotation_path is None else sha256_of(self.raw / files.annotation_path)
        return _Photo(height, width, sha256_of(self.raw / files.photo_path), label_map)

    def _regions(self, files: PhotoFiles, label_map: LabelMap) -> Iterator[tuple[Category, LabelledRegion]]:
        if files.category is not None:
            yield self._named(files.category), region_of(label_map != BACKGROUND)
            return
        by_id = {category.id: category for category in self.categories}
        for value, region in regions_by_value(label_map).items():
            yield by_id[value], region

    def _prompted(self, files: PhotoFiles, height: int, width: int) -> ScannedPhoto | Problem:
        try:
            prompts = tuple(clipped(prompt, height=height, width=width) for prompt in files.prompts)
        except ValueError as error:
            return Problem(ProblemKind.PROMPT_OUTSIDE, files.photo_path, str(error))
        flags = ("prompted", "clipped") if prompts != files.prompts else ("prompted",)
        files = replace(files, prompts=prompts)
        x0, y0, x1, y1 = hull(prompts)
        region = LabelledRegion(area=0, x0=x0, y0=y0, x1=x1, y1=y1, components=0)
        sample = self._sample(files, self._photo(files, height, width), self._named(str(files.category)), region)
        return ScannedPhoto((replace(sample, flags=flags),), annotation_sha256=None)

    def _named(self, name: str) -> Category:
        return next(category for category in self.categories if category.name == name)

    def _sample(
        self, files: PhotoFiles, photo: _Photo, category: Category, region: LabelledRegion, *, soft: bool = False
    ) -> Sample:
        prompted = bool(files.prompts)
        flags = region_flags(region, photo.height, photo.width, self.tiny_area) + ("soft_mask",) * soft
        return Sample(
            sample_id=f"{files.photo_id}/{category.id}",
            photo_id=files.photo_id,
            split=files.split,
            photo_path=files.photo_path,
            label_map_path=files.annotation_path,
            mask_value=category.id if files.category is None else None,
            photo_height=photo.height,
            photo_width=photo.width,
            photo_sha256=photo.sha256,
            label_map_sha256=photo.label_map_sha256,
            category=category.name,
            category_id=category.id,
            target=category.target,
            mask_area=region.area,
            mask_share=region.area / (photo.height * photo.width),
            x0=region.x0,
            y0=region.y0,
            x1=region.x1,
            y1=region.y1,
            components=region.components,
            prompts=prompts_json(files.prompts) if prompted else None,
            flags=() if prompted else flags,
        )


def region_flags(region: LabelledRegion, height: int, width: int, tiny_area: int) -> tuple[str, ...]:
    """Name what is remarkable about a mask.

    Returns:
        Of `tiny` (fewer than `tiny_area` pixels), `touches_border` (in the first or last row or column) and
        `whole_photo` (nothing is left for the extra-ROI), those that hold, in this order.
    """
    touches = region.x0 == 0 or region.y0 == 0 or region.x1 == width - 1 or region.y1 == height - 1
    holds = {
        "tiny": region.area < tiny_area,
        "touches_border": touches,
        "whole_photo": region.area == height * width,
    }
    return tuple(flag for flag, held in holds.items() if held)
