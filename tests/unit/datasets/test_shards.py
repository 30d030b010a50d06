"""Shards that are damaged, and the preprocessing they record."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import (
    KIND,
    SCHEMA_VERSION,
    Preprocessing,
    Shards,
    read_preprocessing,
    shard_metadata,
    write_shard,
)
from pipeline.params.stages import PairParams
from pipeline.runtime.errors import ManifestError
from pipeline.runtime.manifest import MANIFEST, FileEntry, Manifest, sha256_of, write_manifest
from tests.small_run import PAD, random_batch
from tests.training_data import write_shards_of

PARAMS = PairParams(image_size=16, fill=0, pad=125, photos_per_file=1)
METADATA = shard_metadata(PARAMS, source="annotation", categories=("bread", "chili paste"))


def batch_of(*sample_ids: str, size: int = 16) -> SampleBatch:
    """Return samples whose pixels tell them apart."""
    batch = SampleBatch.empty(sample_ids, size=size)
    for array in (batch.targets, batch.rects, batch.masks, batch.roi, batch.extra_roi):
        array[:] = np.arange(len(batch)).reshape(-1, *[1] * (array.ndim - 1))
    batch.targets[:], batch.rects[:, 2:] = batch.targets % 2, 1
    return batch


def write_folder(folder: Path, *parts: SampleBatch, image_size: int = 16, version: int = SCHEMA_VERSION) -> Path:
    """Write a folder of shards of split `test`."""
    folder.mkdir()
    paths = [folder / f"test-{number:05d}.parquet" for number, _ in enumerate(parts)]
    for path, part in zip(paths, parts, strict=True):
        write_shard(part, path, METADATA)
    list_files(folder, [len(part) for part in parts], image_size=image_size, version=version)
    return folder


def list_files(folder: Path, rows: list[int], *, image_size: int = 16, version: int = SCHEMA_VERSION) -> None:
    """Write the manifest of the files as they are."""
    entries = tuple(
        FileEntry(name=path.name, split="test", rows=count, sha256=sha256_of(path))
        for path, count in zip(sorted(folder.glob("*.parquet")), rows, strict=True)
    )
    manifest = Manifest(
        kind=KIND,
        schema_version=version,
        source="annotation",
        image_size=image_size,
        categories=("bread", "chili paste"),
        settings_sha256="0" * 64,
        files=entries,
    )
    write_manifest(manifest, folder)


def test_the_usual_geometry_leaves_files_as_they_were_before_there_was_another() -> None:
    """Its name stands in a file, and counts in the settings' hash, only where it is not the usual one."""
    released = PARAMS.model_copy(update={"geometry": "released"})
    other = shard_metadata(released, source="annotation", categories=("bread", "chili paste"))
    assert "geometry" not in METADATA
    assert other["geometry"] == "released"
    assert other["settings_sha256"] != METADATA["settings_sha256"]
    before = '{"fill":0,"image_size":16,"pad":125,"photos_per_file":1}'
    assert METADATA["settings_sha256"] == hashlib.sha256(before.encode()).hexdigest()
    assert PairParams.model_validate_json(PARAMS.model_dump_json()) == PARAMS
    assert PairParams.model_validate_json(released.model_dump_json()) == released


def test_a_file_says_what_made_it(tmp_path: Path) -> None:
    """Version, size, fills, categories and settings are in the file itself."""
    folder = write_folder(tmp_path / "shards", batch_of("test/a/1"))
    metadata = pq.read_schema(folder / "test-00000.parquet").metadata
    assert {key.decode(): value.decode() for key, value in metadata.items()} == METADATA
    assert METADATA["categories"] == '["bread", "chili paste"]'


def test_arrays_are_the_callers_to_change(tmp_path: Path) -> None:
    """Arrays are writable copies: changing them changes no later read."""
    shards = Shards(write_folder(tmp_path / "shards", batch_of("test/a/1", "test/b/1")))
    for part in (next(shards.batches("test")), shards.read("test"), shards.select("test", [0])):
        part.roi[:] = 77
        part.rects[:] = 77
    assert (shards.read("test").roi[0] == 0).all()


def test_select_reads_only_the_files_it_needs(tmp_path: Path) -> None:
    """Rows come in the order asked for, from files that exist; a missing other file does not matter."""
    parts = [batch_of("test/a/1"), batch_of("test/b/1", "test/b/2"), batch_of("test/c/1")]
    folder = write_folder(tmp_path / "shards", *parts)
    shards = Shards(folder)
    (folder / "test-00000.parquet").unlink()
    assert shards.select("test", [3, 2, 1, 2]).sample_ids == ("test/c/1", "test/b/2", "test/b/1", "test/b/2")


def test_rows_beyond_the_split_are_refused(tmp_path: Path) -> None:
    """A row number past the end names the number of samples."""
    shards = Shards(write_folder(tmp_path / "shards", batch_of("test/a/1")))
    with pytest.raises(ManifestError, match="only 1 sample;"):
        shards.select("test", [1])


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    """Reading a split without files says which and what to check."""
    with pytest.raises(ManifestError, match="no samples in split 'train'"):
        Shards(write_folder(tmp_path / "shards", batch_of("test/a/1"))).read("train")


@pytest.mark.parametrize("position", [0, 4, 300, -1])
def test_a_flipped_bit_is_noticed(tmp_path: Path, position: int) -> None:
    """One changed bit anywhere in a file fails the read and names the file."""
    folder = write_folder(tmp_path / "shards", batch_of("test/a/1"))
    path = folder / "test-00000.parquet"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"test-00000.parquet: bytes differ"):
        Shards(folder).read("test")


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    """A listed file that is not there is named."""
    folder = write_folder(tmp_path / "shards", batch_of("test/a/1"))
    (folder / "test-00000.parquet").unlink()
    with pytest.raises(ManifestError, match=r"test-00000.parquet: listed in the manifest but absent"):
        Shards(folder).read("test")


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    """Columns must be those of the manifest's image size."""
    folder = write_folder(tmp_path / "shards", batch_of("test/a/1", size=32))
    with pytest.raises(ManifestError, match="columns differ"):
        Shards(folder).read("test")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    """A listed file with other content is refused although its hash fits."""
    folder = write_folder(tmp_path / "shards", batch_of("test/a/1"))
    (folder / "test-00000.parquet").write_text("<html>")
    list_files(folder, [1])
    with pytest.raises(ManifestError, match="not a readable Parquet file"):
        Shards(folder).read("test")


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    """Shards of an older or newer layout are not opened."""
    folder = write_folder(tmp_path / "shards", batch_of("test/a/1"), version=SCHEMA_VERSION + 1)
    with pytest.raises(ManifestError, match="this code reads shards of version"):
        Shards(folder)


def rewritten(shards: Shards, metadata: dict[str, str] | None, files: int = 1) -> Shards:
    """Give the first shard other metadata, with a manifest that knows of it."""
    (entry,) = shards.manifest.files
    path = shards.folder / entry.name
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
    known = FileEntry(**entry.model_dump() | {"sha256": sha256_of(path)})
    write_manifest(Manifest(**dict(shards.manifest) | {"files": (known,) * files}), shards.folder)
    return Shards(shards.folder)


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Return one shard of four samples."""
    return Shards(write_shards_of(tmp_path / "shards", {"test": [random_batch(4)]}))


def test_gray_levels_come_from_the_shards_themselves(shards: Shards) -> None:
    """The file says what filled the hidden pixels and the padding."""
    assert read_preprocessing(shards) == Preprocessing(fill=0, pad=PAD, geometry="exact")


@pytest.mark.parametrize("metadata", [None, {"fill": "0"}, {"fill": "0", "pad": "grey"}, {"fill": "0", "pad": "256"}])
def test_a_shard_that_does_not_say_is_refused(shards: Shards, metadata: dict[str, str] | None) -> None:
    """One line that says which stage to run."""
    with pytest.raises(ManifestError, match="dvc repro -f pair") as caught:
        read_preprocessing(rewritten(shards, metadata))
    assert "\n" not in str(caught.value)


def test_damaged_and_absent_shards_are_refused(shards: Shards) -> None:
    """By their hash, or because there are none."""
    (shards.folder / shards.manifest.files[0].name).write_bytes(b"rotten")
    with pytest.raises(ManifestError, match="bytes differ"):
        read_preprocessing(shards)
    write_manifest(Manifest(**dict(shards.manifest) | {"files": ()}), shards.folder)
    assert (shards.folder / MANIFEST).is_file()
    with pytest.raises(ManifestError, match="no shards"):
        read_preprocessing(Shards(shards.folder))
