"""Shards a few rows and one view at a time, with nothing but what training looks at."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.arrays import Images, Targets
from pipeline.datasets.parquet import read_batches
from pipeline.datasets.preprocessing import gray_of
from pipeline.datasets.sample_batch import VIEW_NAMES, Rects, ViewName
from pipeline.datasets.shards import Shards, pixels_of, rects_of
from pipeline.manifest import verified

ROWS_AT_A_TIME = 32
"""5 MB at 224 pixels."""


class ViewBatch(NamedTuple):
    """One view of some samples; the pixels are not to be written to."""

    view: ViewName
    """Which."""
    sample_ids: tuple[str, ...]
    """`<split>/<photo stem>/<category id>`."""
    targets: Targets
    """Class index into the manifest's categories."""
    rects: Rects
    """Top, left, height and width of the photo inside the square, in pixels."""
    fill: int
    """Gray level in [0, 255] of the pixels a view hides."""
    pad: int
    """Gray level in [0, 255] around the photo."""
    pixels: Images
    """The views."""


def view_batches(shards: Shards, split: str, views: frozenset[ViewName]) -> Iterator[ViewBatch]:
    """Yield the split file by file, of each all ROIs before all extra-ROIs, a few rows at a time.

    No other pixels than those of `views` are read, and none is copied but extra-ROIs that are paired by photo, which
    come a file at a time. One view after the other needs half the memory: a file keeps each in one piece, and it is
    unpacked as one.

    Raises:
        ManifestError: If a file is absent or damaged.
    """
    for entry in shards.files(split):
        with verified(shards.folder, entry) as path:
            for view in VIEW_NAMES:
                if view in views:
                    yield from _of_file(shards, path, entry.rows, view)


def _of_file(shards: Shards, path: Path, rows: int, view: ViewName) -> Iterator[ViewBatch]:
    columns, side = ("sample_id", "target", "rect", view), shards.image_size
    whole = view == "extra_roi" and shards.by_photo  # a sample's extra-ROI may be any of its photo's
    at_a_time = rows if whole else ROWS_AT_A_TIME
    for batch in read_batches(path, shards.layout, rows=rows, columns=columns, rows_at_a_time=at_a_time):
        targets, rects = batch.column("target").to_numpy(), rects_of(batch.column("rect"))
        shards.check(targets, rects, path)
        fill, pad = (gray_of(batch.schema, name, path) for name in ("fill", "pad"))
        pixels = pixels_of(batch.column(view)).reshape(-1, side, side, 3)
        sample_ids = tuple(batch.column("sample_id").to_pylist())
        if whole:
            pixels = pixels[shards.extra_roi_rows(sample_ids, targets)]
        yield ViewBatch(view, sample_ids, targets, rects, fill, pad, pixels)
