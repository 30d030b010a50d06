"""Scan photos: decode each once with its annotation, and return a sample for every food in it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pipeline.datasets.index import Category, Sample
from pipeline.datasets.layout import BACKGROUND, PhotoFiles
from pipeline.datasets.objects import RELATIVE, AnnotatedObject, encode_rle, mask_of
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.datasets.prompts import bounding_box, clip_to_photo, prompts_json
from pipeline.imaging.components import LabelledRegion, region_of, regions_by_value
from pipeline.imaging.decode import Colour, fit_to_photo, read_binary_mask, read_label_map, read_palette, read_photo
from pipeline.runtime.errors import DatasetError, PhotoError, SeveralFoodsError
from pipeline.runtime.manifest import sha256_of


class UsedPalette(NamedTuple):
    """The palette of one label map."""

    path: str  # path of the label map below data/raw
    colours: tuple[Colour, ...]  # colour by index
    used: Mapping[int, Colour]  # colour by index of those that occur in pixels


@dataclass(slots=True)
class Palettes:
    """Check that the palettes of all label maps agree: ids are palette indices, so an index must mean the same food."""

    _of_index: dict[int, tuple[Colour, str]] = field(default_factory=dict)
    _of_colour: dict[Colour, tuple[int, str]] = field(default_factory=dict)

    def add(self, palette: UsedPalette) -> None:
        """Add the palette of the next label map.

        Raises:
            DatasetError: If an earlier file gives an index that both use another colour, or a colour another index.
        """
        for index, colour in palette.used.items():
            known_colour, first = self._of_index.setdefault(index, (colour, palette.path))
            known_index, other = self._of_colour.setdefault(colour, (index, palette.path))
            shown, known = ("#{:02x}{:02x}{:02x}".format(*each) for each in (colour, known_colour))
            difference = ""
            if known_colour != colour:
                difference = f"index {index} is {shown}, in {first} {known}"
            # A palette may have a colour twice, if it has it at both indices.
            elif known_index != index and palette.colours[known_index : known_index + 1] != (colour,):
                difference = f"{shown} is index {index}, in {other} index {known_index}"
            if difference:
                raise DatasetError(
                    f"{palette.path}: palettes differ between label maps, so an index is no category id "
                    f"({difference}); write category ids as 8 bit gray PNG, all by the same numbers"
                )


class ScannedPhoto(NamedTuple):
    """One usable photo."""

    samples: tuple[Sample, ...]
    """Its samples in ascending category id; without the flags that depend on other photos. None only with problems."""
    annotation_sha256: str | None  # of the annotation's pixels, whatever its file format; None if prompts replace it
    palette: UsedPalette | None = None  # colours of the ids in its label map; None without a palette
    problems: tuple[Problem, ...] = ()  # what of the photo was left out, and how its annotation was read


class _Region(NamedTuple):
    """What becomes one sample."""

    category: Category
    region: LabelledRegion
    object_id: int | None = None
    rle: bytes | None = None


@dataclass(frozen=True, slots=True)
class Scanner:
    """Settings of a scan, small enough to be sent to another process."""

    raw: Path  # folder of the paths
    categories: tuple[Category, ...]  # all foods of the data set
    tiny_area: int  # masks of fewer pixels get the flag `tiny`
    void: tuple[int, ...]  # values of label maps that count as background
    unit: Literal["category", "object"] = "category"  # what a sample is where objects annotate a photo

    def scan_all(self, photos: Sequence[PhotoFiles]) -> list[ScannedPhoto | Problem]:
        """Scan several photos in one task."""
        return [self.scan(files) for files in photos]

    def scan(self, files: PhotoFiles) -> ScannedPhoto | Problem:
        """Return the samples of one photo, or the problem that prevents its use."""
        try:
            height, width, _ = read_photo(self.raw / files.photo_path).shape
            if files.annotation_path is None:
                return self._prompted(files, height, width)
        except PhotoError as error:
            return self._unreadable(ProblemKind.PHOTO_UNREADABLE, files.photo_path, error)
        if files.objects:
            return self._outlined(files, height, width)
        return self._annotated(files, self.raw / files.annotation_path, height, width)

    def _unreadable(self, kind: ProblemKind, path: str, error: PhotoError) -> Problem:
        fix = f"; {kind.fix}" if isinstance(error, SeveralFoodsError) else ""  # other errors include the advice
        return Problem(kind, path, str(error).removeprefix(f"{self.raw / path}: ") + fix)

    def _named(self, name: str) -> Category:
        return next(category for category in self.categories if category.name == name)

    def _annotated(self, files: PhotoFiles, path: Path, height: int, width: int) -> ScannedPhoto | Problem:
        name, soft, palette = str(files.annotation_path), False, None
        try:
            if files.category is not None:
                mask, soft = read_binary_mask(path)
                label_map = mask.view(np.uint8)
            else:
                label_map = read_label_map(path)
                label_map[np.isin(label_map, self.void)] = BACKGROUND
                if colours := read_palette(path):  # ids without an entry have no colour
                    used = {value: colours[value] for value in np.unique(label_map).tolist() if value < len(colours)}
                    palette = UsedPalette(name, colours, used)
        except PhotoError as error:
            kind = ProblemKind.LABEL_MAP_UNREADABLE if files.category is None else ProblemKind.MASK_UNREADABLE
            return self._unreadable(kind, name, error)
        drawn = label_map.shape
        label_map = fit_to_photo(label_map, self.raw / files.photo_path, (height, width))
        if label_map.shape != (height, width):
            detail = f"{drawn[1]} x {drawn[0]} pixels, but the upright photo has {width} x {height}"
            return Problem(ProblemKind.SIZE_MISMATCH, name, detail)
        if files.category is not None:
            named, mask = self._named(files.category), label_map > BACKGROUND
            regions = [_Region(named, region_of(mask))] if mask.any() else []
        else:
            by_id = {category.id: category for category in self.categories}
            by_value = regions_by_value(label_map)
            if unknown := sorted(by_value.keys() - by_id.keys()):
                return Problem(ProblemKind.UNKNOWN_CATEGORY, name, f"unknown ids {', '.join(map(str, unknown))}")
            regions = [_Region(by_id[value], region) for value, region in by_value.items()]
        if not regions:
            return Problem(ProblemKind.LABEL_MAP_EMPTY, name, "no pixel but background")
        return ScannedPhoto(
            samples=self._samples(files, height, width, regions, flags=("soft_mask",) * soft),
            annotation_sha256=sha256(f"{files.category} {label_map.shape}".encode() + label_map.tobytes()).hexdigest(),
            palette=palette,
            problems=_turned(name, files.photo_path, drawn, (height, width)),
        )

    def _outlined(self, files: PhotoFiles, height: int, width: int) -> ScannedPhoto | Problem:
        """Return the samples of a photo that objects annotate; those of one category may be one sample."""
        photo, name, size = self.raw / files.photo_path, str(files.annotation_path), (height, width)
        relative = files.annotated_size == RELATIVE
        drawn = size if relative or files.annotated_size is None else files.annotated_size
        if drawn not in {size, size[::-1]} or fit_to_photo(np.zeros(drawn, np.uint8), photo, size).shape != size:
            detail = f"is for {drawn[1]} x {drawn[0]} pixels, but the upright photo has {width} x {height}"
            return Problem(ProblemKind.SIZE_MISMATCH, files.photo_path, f"{name} {detail}")
        groups: defaultdict[tuple[int, int | None], list[AnnotatedObject]] = defaultdict(list)
        for each in files.objects:
            groups[each.category_id, each.id if self.unit == "object" else None].append(each)
        by_id = {category.id: category for category in self.categories}
        regions, problems = list[_Region](), list[Problem]()
        for (category_id, object_id), objects in sorted(groups.items()):
            try:
                mask = mask_of(objects, drawn, size if relative else RELATIVE)
            except ValueError as error:
                problems.append(Problem(ProblemKind.OBJECT_UNUSABLE, files.photo_path, f"{name}, {error}"))
                continue
            if drawn != size:
                mask = fit_to_photo(mask.view(np.uint8), photo, size).view(np.bool_)
            if mask.any():
                regions.append(_Region(by_id[category_id], region_of(mask), object_id, encode_rle(mask)))
            else:
                which = f"{name}, annotation {objects[0].id}: its {by_id[category_id].name} has no pixel"
                problems.append(Problem(ProblemKind.OBJECT_WITHOUT_MASK, files.photo_path, which))
        problems += _turned(name, files.photo_path, drawn, size) if regions else ()
        masks = b"".join(f"{region.category.id} ".encode() + (region.rle or b"") + b"\n" for region in regions)
        samples = self._samples(files, height, width, regions)
        return ScannedPhoto(samples, sha256(masks).hexdigest(), problems=tuple(problems))

    def _prompted(self, files: PhotoFiles, height: int, width: int) -> ScannedPhoto | Problem:
        try:
            prompts = tuple(clip_to_photo(prompt, height=height, width=width) for prompt in files.prompts)
        except ValueError as error:
            return Problem(ProblemKind.PROMPT_OUTSIDE, files.photo_path, str(error))
        flags = ("prompted", "clipped") if prompts != files.prompts else ("prompted",)
        x0, y0, x1, y1 = bounding_box(prompts)
        region = LabelledRegion(area=0, x0=x0, y0=y0, x1=x1, y1=y1, components=0)
        regions = [_Region(self._named(str(files.category)), region)]
        samples = self._samples(replace(files, prompts=prompts), height, width, regions, flags=flags)
        return ScannedPhoto(samples, annotation_sha256=None)

    def _samples(
        self, files: PhotoFiles, height: int, width: int, regions: Sequence[_Region], *, flags: tuple[str, ...] = ()
    ) -> tuple[Sample, ...]:
        annotation = files.annotation_path
        photo_sha256 = sha256_of(self.raw / files.photo_path)
        annotation_sha256 = None if annotation is None or files.objects else sha256_of(self.raw / annotation)
        return tuple(
            Sample(
                sample_id=f"{files.photo_id}/{category.id}" + (f"-{object_id}" if object_id is not None else ""),
                photo_id=files.photo_id,
                split=files.split,
                photo_path=files.photo_path,
                label_map_path=annotation,
                mask_value=category.id if files.category is None and rle is None else None,
                photo_height=height,
                photo_width=width,
                photo_sha256=photo_sha256,
                label_map_sha256=annotation_sha256,
                category=category.name,
                category_id=category.id,
                target=category.target,
                mask_area=region.area,
                mask_share=region.area / (height * width),
                x0=region.x0,
                y0=region.y0,
                x1=region.x1,
                y1=region.y1,
                components=region.components,
                prompts=prompts_json(files.prompts) if files.prompts else None,
                flags=(*(() if files.prompts else region_flags(region, height, width, self.tiny_area)), *flags),
                rle=rle,
            )
            for category, region, object_id, rle in regions
        )


def _turned(name: str, photo: str, drawn: tuple[int, ...], size: tuple[int, int]) -> tuple[Problem, ...]:
    """Return the note on an annotation that had to be turned."""
    detail = f"fits {photo} only without its EXIF rotation"
    return (Problem(ProblemKind.EXIF_IGNORED, name, detail),) if drawn != size else ()


def region_flags(region: LabelledRegion, height: int, width: int, tiny_area: int) -> tuple[str, ...]:
    """Return the flags that hold, in this order."""
    holds = {
        "tiny": region.area < tiny_area,
        "touches_border": 0 in {region.x0, region.y0} or region.x1 == width - 1 or region.y1 == height - 1,
        "whole_photo": region.area == height * width,  # nothing is left for the extra-ROI
    }
    return tuple(flag for flag, held in holds.items() if held)
