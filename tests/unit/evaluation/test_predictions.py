"""The predictions table: written as a stream, read back as it was."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation.predictions import PredictionWriter, read_predictions
from pipeline.runtime.errors import ManifestError

NAMES = ("ketchup", "crème brûlée", "rice")
IDS = tuple(f"test/0000000{i // 2}/{i}" for i in range(5))
TARGETS = np.array([0, 1, 2, 0, 1], np.int64)
LOGITS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def write(path: Path) -> Path:
    """Write five samples in two groups."""
    predictions = LOGITS.argmax(axis=1)
    with closing(PredictionWriter(path, run="vit+none-all", class_names=NAMES)) as writer:
        for rows in (slice(0, 3), slice(3, 5)):
            writer.write(IDS[rows], TARGETS[rows], predictions[rows], LOGITS[rows])
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Names, identities, classes and every bit of the logits."""
    table = read_predictions(write(tmp_path / "predictions.parquet"))
    assert table.class_names == NAMES
    assert table.sample_ids == IDS
    assert table.photo_ids == tuple(photo_id_of(i) for i in IDS)
    np.testing.assert_array_equal(table.targets, TARGETS)
    np.testing.assert_array_equal(table.predictions, LOGITS.argmax(axis=1))
    np.testing.assert_array_equal(table.logits, LOGITS)


def test_the_same_predictions_are_the_same_bytes(tmp_path: Path) -> None:
    """Nothing of the time, place or process is in the file."""
    assert write(tmp_path / "a").read_bytes() == write(tmp_path / "b").read_bytes()


def test_logits_have_a_fixed_size(tmp_path: Path) -> None:
    """Any Parquet reader sees K numbers a row."""
    schema = pq.read_schema(write(tmp_path / "predictions.parquet"))
    assert str(schema.field("logits").type) == "fixed_size_list<element: float>[3]"


def test_the_photo_is_the_sample_without_its_category() -> None:
    """The split stays: photos of two splits may share a name."""
    assert photo_id_of("test/00000048/26") == "test/00000048"


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    """Absent, damaged or of another version, with what to do."""
    path = tmp_path / "predictions.parquet"
    with pytest.raises(ManifestError, match="absent"):
        read_predictions(path)
    path.write_bytes(b"not parquet")
    with pytest.raises(ManifestError, match="not a readable Parquet file"):
        read_predictions(path)
    write(path)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"schema_version": "0"}), path)
    with pytest.raises(ManifestError, match="schema version 0"):
        read_predictions(path)
