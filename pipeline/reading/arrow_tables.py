"""Shards as Arrow tables, for DuckDB, Polars and whatever else reads Arrow."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.datasets.parquet import DAMAGE, damaged, read_sound
from pipeline.datasets.shards import Shards
from pipeline.manifest import verified
from pipeline.stores import place_of


def arrow_tables(folder: Path | str, split: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the tables of a split, one a file, each checked against the manifest before it is read.

    Columns are `sample_id`, `target`, `rect` (top, left, height, width of the photo inside the square), `mask` (bits in
    rows of the square, first pixel in the highest bit), `roi` and `extra_roi` (raw RGB, row by row).

    Args:
        folder: Folder of shards, a path or the URL of one on object storage.
        split: `train` or `test`.
        columns: Columns to read; all if absent.

    Raises:
        ManifestError: If a file is absent or damaged.
    """
    shards = Shards(place_of(folder))
    for entry in shards.files(split):
        with verified(shards.folder, entry) as path:
            try:
                table = read_sound(path, columns)
            except DAMAGE as error:
                raise damaged(path, error, "pair") from error
        yield table
