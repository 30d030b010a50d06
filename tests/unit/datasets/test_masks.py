"""Storing masks."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.masks import KIND, SCHEMA_VERSION, Masks, StoredMask, read_mask_file, write_mask_file
from pipeline.runtime.errors import EmptyMaskError, ManifestError
from pipeline.runtime.manifest import FileEntry, Manifest, sha256_of, write_manifest
from tests.strategies import image_and_mask

MASK = np.array([[False, False, False], [False, True, True]])


def stored(sample_id: str) -> StoredMask:
    """Return a small stored mask."""
    return StoredMask.of(MASK, sample_id=sample_id, score=1.0, status="ok", prompts=None)


def folder_of(path: Path, *rows: int) -> Masks:
    """Write files of so many masks, named test/<row>/1 through all files, and open them."""
    entries, first = [], 0
    for number, count in enumerate(rows):
        file = path / f"test-{number:05d}.parquet"
        write_mask_file([stored(f"test/{row}/1") for row in range(first, first + count)], file, {})
        entries.append(FileEntry(name=file.name, split="test", rows=count, sha256=sha256_of(file)))
        first += count
    manifest = Manifest(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        source="annotation",
        image_size=0,
        categories=("bread",),
        settings_sha256="0" * 64,
        files=tuple(entries),
    )
    write_manifest(manifest, path)
    return Masks(path)


@settings(max_examples=40, deadline=None)
@given(
    image_and_mask(), st.floats(0, 1), st.sampled_from(["ok", "tiny", "empty"]), st.none() | st.text("[]{}", max_size=9)
)
def test_reading_gives_back_what_was_written(
    pair: tuple[np.ndarray, np.ndarray], score: float, status: str, prompts: str | None
) -> None:
    """Mask, score, status and prompts come back as they were."""
    mask = StoredMask.of(pair[1], sample_id="test/a/1", score=score, status=status, prompts=prompts)
    np.testing.assert_array_equal(mask.full(), pair[1], strict=True)
    with TemporaryDirectory() as folder:
        write_mask_file([mask], Path(folder) / "masks", {"made": "by"})
        (read,) = read_mask_file(Path(folder) / "masks")
    np.testing.assert_array_equal(read.full(), pair[1], strict=True)
    assert (read.sample_id, read.score, read.status, read.prompts) == ("test/a/1", score, status, prompts)


def test_only_the_bounding_box_is_stored() -> None:
    """The crop has the size of the box around the mask."""
    mask = stored("test/a/1")
    assert mask.crop.shape == (1, 2)
    assert (mask.top, mask.left, mask.height, mask.width) == (1, 1, 2, 3)


def test_an_empty_mask_is_refused() -> None:
    """A mask without a pixel is no region of interest; the error names the sample."""
    with pytest.raises(EmptyMaskError, match="test/a/1: the mask has no pixel"):
        StoredMask.of(np.zeros((2, 2), np.bool_), sample_id="test/a/1", score=0.0, status="ok", prompts=None)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
@settings(max_examples=25, deadline=None)
def test_any_rows_are_found_however_the_files_are_cut(rows: list[int], data: st.DataObject) -> None:
    """Masks may share other files than shards: any run of rows is located and read."""
    first = data.draw(st.integers(0, sum(rows) - 1))
    count = data.draw(st.integers(1, sum(rows) - first))
    with TemporaryDirectory() as folder:
        masks = folder_of(Path(folder), *rows)
        read = masks.locate("test", first, count).read(masks.folder)
    assert [mask.sample_id for mask in read] == [f"test/{row}/1" for row in range(first, first + count)]


def test_rows_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """Fewer masks than samples, or none of a split, means that segment must run again."""
    masks = folder_of(tmp_path, 2)
    for split, first_row, rows in (("test", 0, 3), ("test", 2, 1), ("train", 0, 1)):
        with pytest.raises(ManifestError, match=f"fewer masks than samples in '{split}'"):
            masks.locate(split, first_row, rows)


def test_a_damaged_file_is_noticed(tmp_path: Path) -> None:
    """A changed byte fails the hash; other content fails the format."""
    masks = folder_of(tmp_path, 1)
    path = tmp_path / "test-00000.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ManifestError, match="bytes differ"):
        masks.locate("test", 0, 1).read(tmp_path)
    with pytest.raises(ManifestError, match="not a readable Parquet file"):
        read_mask_file(path)
