"""Semantic maps: answers painted into the masks of a photo, and their mIoU, mAcc and aAcc.

The protocol is that of FoodSeg103 and FoodSAM (mmsegmentation's): every pixel of the test photos at their own size, all
categories and the background, void pixels left out. As in FoodSAM the smaller of two overlapping masks lies on top.

Reference:
    FoodSeg103: Wu et al., arXiv 2105.05409. FoodSAM: Lan et al., arXiv 2308.05938.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from pipeline.arrays import Mask
from pipeline.datasets.parquet import TableLayout, read_table

OVERLAPS = "overlaps.parquet"
BACKGROUND, VOID = -1, -2  # values of pixels without a food, and of those that no annotator decided
Labels: TypeAlias = Int64[np.ndarray, "H W"]  # class index in [0, K), `BACKGROUND` or `VOID`


class Overlap(NamedTuple):
    """Pixels of a photo that are one sample in its masks, or none, and one category in the annotation."""

    masks: str  # source of the masks
    photo_id: str
    sample_id: str  # sample whose mask is on top; empty where none is
    target: int  # class index of that sample; `BACKGROUND` where none is
    truth: int  # class index by the annotation, or `BACKGROUND`
    pixels: int


SCHEMA = pa.schema(zip(Overlap._fields, (*[pa.string()] * 3, *[pa.int32()] * 2, pa.int64()), strict=True))
LAYOUT = TableLayout(SCHEMA, 1, "agreement")


class SemanticScores(NamedTuple):
    """Scores of semantic maps in [0, 1]."""

    miou: float  # mean IoU of the classes, background among them, that occur in annotation or maps
    macc: float  # mean recall of the classes that occur in the annotation
    aacc: float  # share of right pixels


def paint(masks: Sequence[Mask], values: Sequence[int]) -> Labels:
    """Return the value of the smallest mask at every pixel, of equally small ones the first; else `BACKGROUND`."""
    labels = np.full(masks[0].shape, BACKGROUND, np.int64)
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    for place in sorted(range(len(masks)), key=lambda place: (-areas[place], -place)):
        labels[masks[place]] = values[place]
    return labels


def count_overlaps(truth: Labels, owner: Labels) -> list[tuple[int, int, int]]:
    """Return owner, true class and number of pixels of all pairs that occur, sorted; void pixels are left out."""
    width = int(truth.max()) + 2
    counts = np.bincount(((owner + 1) * width + truth + 1)[truth != VOID])
    return [(int(code) // width - 1, int(code) % width - 1, int(counts[code])) for code in np.flatnonzero(counts)]


def score_maps(overlaps: Sequence[Overlap], predictions: Mapping[str, int], classes: int) -> SemanticScores:
    """Return the scores of the maps that predictions, class indices by sample_id, make in the masks of one source.

    Where a sample has no prediction, background is painted.
    """
    painted = np.array([predictions.get(overlap.sample_id, BACKGROUND) for overlap in overlaps]) + 1
    true, pixels = np.array([(overlap.truth + 1, overlap.pixels) for overlap in overlaps]).T
    confusion = np.zeros((classes + 1, classes + 1), np.int64)  # rows are true; the background comes first
    np.add.at(confusion, (true, painted), pixels)
    hits, support = np.diag(confusion), confusion.sum(axis=1)
    union = support + confusion.sum(axis=0) - hits
    miou, macc = (float((hits[parts > 0] / parts[parts > 0]).mean()) for parts in (union, support))
    return SemanticScores(miou, macc, float(hits.sum() / support.sum()))


def write_overlaps(overlaps: Iterable[Overlap], path: Path) -> None:
    """Write a table; the bytes depend only on its rows."""
    pq.write_table(pa.Table.from_pylist([o._asdict() for o in overlaps], schema=SCHEMA), path, compression="zstd")


def read_overlaps(path: Path) -> list[Overlap]:
    """Read a table; raise `ManifestError` if it is damaged."""
    return [Overlap(**row) for row in read_table(path, LAYOUT).to_pylist()]
