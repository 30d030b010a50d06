"""How pictures were made, as shards say it."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.datasets.shards import Preprocessing, Shards, read_preprocessing
from pipeline.runtime.errors import ManifestError
from pipeline.runtime.manifest import MANIFEST, FileEntry, Manifest, sha256_of, write_manifest
from tests.judged_run import PAD, random_batch
from tests.training_data import write_shards_of


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
