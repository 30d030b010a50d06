"""Batches of samples as arrays, and the pairing of ROIs with extra-ROIs by photo, as the released loader does it.

The released code keeps a dictionary from bare file name to extra-ROI, in which the last entry wins. With cut-outs named
like their photo, in one folder a category, as its README suggests, all samples of a photo get the extra-ROI of the
category listed last, and all but that one see their own food there.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Bool, Int64

from pipeline.arrays import Images, Masks, Photos, Targets
from pipeline.params.base import Section, omit_default

Rects: TypeAlias = Int64[np.ndarray, "N 4"]  # photos inside their squares: top, left, height, width in pixels
ViewName: TypeAlias = Literal["roi", "extra_roi"]  # cut-out of a photo, input of a branch of the model
VIEW_NAMES: tuple[ViewName, ...] = get_args(ViewName)
InputName: TypeAlias = Literal["roi", "extra_roi", "photo"]  # of a branch: a cut-out, or the photo with its regions
INPUT_NAMES: tuple[InputName, ...] = get_args(InputName)
SURROUNDINGS, ROI = 1, 2  # regions of a whole photo, in its fourth channel; 0 is the padding


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Samples in row order; row i of every array is sample i."""

    sample_ids: tuple[str, ...]
    """See `Sample.sample_id`."""
    targets: Targets
    """Class index into the manifest's categories."""
    rects: Rects
    """Where the photo lies inside the square; gray padding outside."""
    masks: Masks
    """Letterboxed mask, True where more than half of a pixel's area is ROI."""
    roi: Images
    """Photo where the mask is, `fill` elsewhere, gray padding."""
    extra_roi: Images
    """The rest of the photo: inside the rectangle ROI + extra-ROI = letterboxed photo + `fill`, exactly unless the
    geometry is `released` or views are paired by photo."""
    fill: int = 0
    """Gray level of the pixels that a view hides."""

    @property
    def photo(self) -> Photos:
        """Whole letterboxed photos with their regions.

        They are the sum of both views: exactly the photos, unless the geometry is `released`, whose views are resized
        one by one: then to a gray level, but for the overshoot of bicubic at the edge of the mask. Of views paired by
        photo there is no such sum.
        """
        inside = photo_pixels(self)
        total = self.roi.astype(np.int16) + self.extra_roi - self.fill
        pixels = np.where(inside[..., np.newaxis], total.clip(0, 255).astype(np.uint8), self.roi)
        regions = np.where(self.masks, np.uint8(ROI), inside * np.uint8(SURROUNDINGS))
        return np.concatenate([pixels, regions[..., np.newaxis]], axis=3)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.sample_ids)

    def row(self, number: int) -> "SampleBatch":
        """Return a copy of one sample that does not keep the batch in memory."""
        return SampleBatch(
            self.sample_ids[number : number + 1],
            **{name: getattr(self, name)[number : number + 1].copy() for name in ARRAYS},
            fill=self.fill,
        )

    @classmethod
    def empty(cls, sample_ids: tuple[str, ...], *, size: int, fill: int = 0) -> "SampleBatch":
        """Return a batch of uninitialised arrays."""
        rows = len(sample_ids)
        return cls(
            sample_ids=sample_ids,
            targets=np.empty(rows, np.int64),
            rects=np.empty((rows, 4), np.int64),
            masks=np.empty((rows, size, size), np.bool_),
            roi=np.empty((rows, size, size, 3), np.uint8),
            extra_roi=np.empty((rows, size, size, 3), np.uint8),
            fill=fill,
        )

    @classmethod
    def join(cls, parts: Iterable["SampleBatch"], *, rows: int, size: int) -> "SampleBatch":
        """Join batches of `rows` samples in all, with one of them in memory beside the result."""
        whole, sample_ids, fill = cls.empty(("",) * rows, size=size), list[str](), 0
        for part in parts:
            start = len(sample_ids)
            for name in ARRAYS:
                getattr(whole, name)[start : start + len(part)] = getattr(part, name)
            sample_ids.extend(part.sample_ids)
            fill = part.fill
        return replace(whole, sample_ids=tuple(sample_ids), fill=fill)


ARRAYS = ("targets", "rects", "masks", "roi", "extra_roi")


LISTED_FIRST = ("cabbage", "hanamaki baozi", "french beans")
"""Categories first in the released label file: sorted as text, leading blanks and capitals come first."""


class FoodVisible(Section):
    """Share in [0, 1] of samples whose extra-ROI shows their own food, being that of another food of the photo."""

    train: float
    test: float | None = omit_default(None)  # only in runs made before


def photo_id_of(sample_id: str) -> str:
    """Return the id of a sample's photo."""
    return sample_id.rpartition("/")[0]


def extra_roi_rows(
    sample_ids: Sequence[str], targets: Targets, categories: Sequence[str], classes: Collection[str]
) -> Int64[np.ndarray, " N"]:
    """Return for each sample of whole photos the row whose extra-ROI the released loader pairs it with.

    `categories` are names by target; the loader lists `classes`, and samples of others keep their own extra-ROI.
    """
    first = {name: position for position, name in enumerate(LISTED_FIRST)}
    listed = sorted(classes, key=lambda name: (first.get(name, len(first)), name))
    positions = [listed.index(name) if name in classes else -1 for name in categories]
    last: dict[str, int] = {}
    for row in np.argsort([positions[target] for target in targets], kind="stable").tolist():
        if positions[targets[row]] >= 0:
            last[photo_id_of(sample_ids[row])] = row
    listed_ids = zip(sample_ids, targets, strict=True)
    rows = [last[photo_id_of(name)] if positions[target] >= 0 else row for row, (name, target) in enumerate(listed_ids)]
    return np.array(rows, np.int64)


def share_visible(sample_ids: Sequence[str]) -> float:
    """Return the share of samples paired with another sample's extra-ROI: all but one a photo."""
    return 1 - len(set(map(photo_id_of, sample_ids))) / len(sample_ids)


def photo_pixels(batch: SampleBatch) -> Bool[np.ndarray, "N S S"]:
    """Return True inside the photos' rectangles."""
    places = np.arange(batch.masks.shape[1])
    first, size = batch.rects[:, :2, np.newaxis], batch.rects[:, 2:, np.newaxis]
    rows, columns = np.moveaxis((places >= first) & (places < first + size), 1, 0)
    inside: Bool[np.ndarray, "N S S"] = rows[:, :, np.newaxis] & columns[:, np.newaxis, :]
    return inside
