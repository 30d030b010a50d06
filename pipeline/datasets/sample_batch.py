"""Samples as arrays: what a shard holds, and what every reader and model is given."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Int64

from pipeline.arrays import Images, Masks, Targets

Rects: TypeAlias = Int64[np.ndarray, "N 4"]
"""Rectangles of photos inside their squares: top, left, height, width in pixels."""
ViewName: TypeAlias = Literal["roi", "extra_roi"]
"""What a branch of the model looks at."""
VIEW_NAMES: tuple[ViewName, ...] = get_args(ViewName)


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Samples in row order; row i of every array is sample i."""

    sample_ids: tuple[str, ...]
    """`<split>/<photo stem>/<category id>`."""
    targets: Targets
    """Class index into the manifest's categories."""
    rects: Rects
    """Where the photo lies inside the square; gray padding outside."""
    masks: Masks
    """Letterboxed mask, True where more than half of a pixel's area is ROI."""
    roi: Images
    """Photo where the mask is, `fill` elsewhere, gray padding."""
    extra_roi: Images
    """What the ROI leaves: inside the rectangle ROI + extra-ROI = letterboxed photo + `fill`, exactly unless the
    geometry is `released` or views are paired by photo."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.sample_ids)

    def row(self, number: int) -> "SampleBatch":
        """Return a copy of one sample, so that the batch need not stay in memory."""
        return SampleBatch(
            self.sample_ids[number : number + 1],
            **{name: getattr(self, name)[number : number + 1].copy() for name in ARRAYS},
        )

    @classmethod
    def empty(cls, sample_ids: tuple[str, ...], *, size: int) -> "SampleBatch":
        """Return a batch whose arrays are still to be filled."""
        rows = len(sample_ids)
        return cls(
            sample_ids=sample_ids,
            targets=np.empty(rows, np.int64),
            rects=np.empty((rows, 4), np.int64),
            masks=np.empty((rows, size, size), np.bool_),
            roi=np.empty((rows, size, size, 3), np.uint8),
            extra_roi=np.empty((rows, size, size, 3), np.uint8),
        )

    @classmethod
    def join(cls, parts: Iterable["SampleBatch"], *, rows: int, size: int) -> "SampleBatch":
        """Join batches of `rows` samples in all, holding no more than one of them beside the result."""
        whole, sample_ids = cls.empty(("",) * rows, size=size), list[str]()
        for part in parts:
            start = len(sample_ids)
            for name in ARRAYS:
                getattr(whole, name)[start : start + len(part)] = getattr(part, name)
            sample_ids.extend(part.sample_ids)
        return replace(whole, sample_ids=tuple(sample_ids))


ARRAYS = ("targets", "rects", "masks", "roi", "extra_roi")
