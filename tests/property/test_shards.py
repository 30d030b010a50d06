"""Laws of shards."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from pipeline.datasets.sample_batch import ARRAYS, SampleBatch
from pipeline.datasets.shards import KIND, SCHEMA_VERSION, Shards, write_shard
from pipeline.runtime.manifest import FileEntry, Manifest, sha256_of, write_manifest


@st.composite
def batches(draw: st.DrawFn) -> SampleBatch:
    """Draw samples of any content; 5 x 5 pixels leave unused bits in a packed mask."""
    rows, size = draw(st.integers(1, 6)), draw(st.sampled_from([5, 8, 16]))
    rng = default_rng(draw(st.integers(0, 2**32)))
    pixels = (rows, size, size, 3)
    return SampleBatch(
        sample_ids=tuple(
            draw(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=rows, max_size=rows))
        ),
        targets=rng.integers(0, 105, rows),
        rects=np.tile(rng.integers(1, size, (rows, 1)), 4) * [0, 0, 1, 1],
        masks=rng.random((rows, size, size)) < 0.5,
        roi=rng.integers(0, 256, pixels, dtype=np.uint8),
        extra_roi=rng.integers(0, 256, pixels, dtype=np.uint8),
    )


def write_folder(parts: list[SampleBatch], folder: Path) -> Shards:
    """Write batches of one size as the files of split `train`, and open them."""
    entries = []
    for number, part in enumerate(parts):
        path = folder / f"train-{number:05d}.parquet"
        write_shard(part, path, {"schema_version": str(SCHEMA_VERSION), "fill": "0"})
        entries.append(FileEntry(name=path.name, split="train", rows=len(part), sha256=sha256_of(path)))
    manifest = Manifest(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        source="annotation",
        image_size=parts[0].roi.shape[1],
        categories=tuple(f"food {number}" for number in range(105)),
        settings_sha256="0" * 64,
        files=tuple(entries),
    )
    write_manifest(manifest, folder)
    return Shards(folder)


def assert_equal(left: SampleBatch, right: SampleBatch) -> None:
    """Compare ids, values and types."""
    assert left.sample_ids == right.sample_ids
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), strict=True)


@settings(max_examples=30, deadline=None)
@given(batches())
def test_reading_gives_back_what_was_written(batch: SampleBatch) -> None:
    """Write, then read: identity, for one file and for the same samples twice."""
    with TemporaryDirectory() as folder:
        shards = write_folder([batch, batch], Path(folder))
        whole = shards.read("train")
        assert shards.rows("train") == len(whole) == 2 * len(batch)
        for part in shards.batches("train"):
            assert_equal(part, batch)
        for row in range(len(whole)):
            assert_equal(whole.row(row), batch.row(row % len(batch)))
            assert_equal(shards.select("train", [row]), batch.row(row % len(batch)))


@settings(max_examples=10, deadline=None)
@given(batches())
def test_the_same_samples_give_the_same_bytes(batch: SampleBatch) -> None:
    """Two writes of equal samples are equal files, even from arrays that lie differently in memory."""
    with TemporaryDirectory() as folder:
        first, second = Path(folder) / "a", Path(folder) / "b"
        write_shard(batch, first, {"made": "by"})
        arrays = {name: np.asfortranarray(getattr(batch, name)) for name in ARRAYS}
        write_shard(SampleBatch(batch.sample_ids, **arrays), second, {"made": "by"})
        assert first.read_bytes() == second.read_bytes()
