"""The tables `predictions.parquet` and `validation.parquet`: predictions and logits of a run for every sample."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays import Logits, Targets
from pipeline.datasets.class_set import ambiguous_pair
from pipeline.datasets.parquet import DAMAGE, damaged, read_sound
from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation.metrics import Predictions
from pipeline.runtime.errors import ManifestError

SCHEMA_VERSION = 1  # of this table, and of the predictions under perturbations
PREDICTIONS = "predictions.parquet"  # of the test split, in the folders of evaluations, repetitions, students and votes
VALIDATION = "validation.parquet"  # in the package of a run: of the validation split, by the weights that are kept
ROWS_PER_GROUP = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PredictionTable:
    """Predictions of one run in row order."""

    class_names: tuple[str, ...]  # category name by class index
    sample_ids: tuple[str, ...]  # see `Sample.sample_id`
    photo_ids: tuple[str, ...]  # see `Sample.photo_id`; samples of one photo are not independent
    targets: Targets
    predictions: Predictions
    logits: Logits

    @property
    def named_predictions(self) -> dict[str, str]:
        """Predicted category by sample_id."""
        named = (self.class_names[place] for place in self.predictions.tolist())
        return dict(zip(self.sample_ids, named, strict=True))

    def pair(self, ambiguous: Sequence[str]) -> tuple[int, int] | None:
        """Return the classes of the ambiguous pair; None where the run lacks one, or has samples of neither."""
        known = [self.class_names.index(name) for name in ambiguous if name in self.class_names]
        return ambiguous_pair(known, self.targets)

    def select(self, sample_ids: Collection[str]) -> "PredictionTable":
        """Return the rows of some samples, in the order they have."""
        rows = np.flatnonzero([sample_id in sample_ids for sample_id in self.sample_ids])
        return PredictionTable(
            self.class_names,
            tuple(self.sample_ids[row] for row in rows),
            tuple(self.photo_ids[row] for row in rows),
            self.targets[rows],
            self.predictions[rows],
            self.logits[rows],
        )


def _schema(classes: int) -> pa.Schema:
    ids = {"sample_id": pa.string(), "photo_id": pa.string()}
    return pa.schema(ids | {"target": pa.int32(), "prediction": pa.int32(), "logits": pa.list_(pa.float32(), classes)})


class PredictionWriter:
    """Stream predictions into a Parquet file; the same calls give the same bytes.

    Use it under `contextlib.closing`.
    """

    def __init__(self, path: Path, *, run: str, class_names: Sequence[str]) -> None:
        """Open `path` for a run with those outputs."""
        names = json.dumps(list(class_names), ensure_ascii=False)
        metadata = {"schema_version": str(SCHEMA_VERSION), "run": run, "class_names": names}
        self.schema = _schema(len(class_names)).with_metadata(metadata)
        self._writer = pq.ParquetWriter(path, self.schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, sample_ids: Sequence[str], targets: Targets, predictions: Predictions, logits: Logits) -> None:
        """Append samples."""
        columns = [
            pa.array(sample_ids, pa.string()),
            pa.array([photo_id_of(i) for i in sample_ids], pa.string()),
            pa.array(targets.astype(np.int32)),
            pa.array(predictions.astype(np.int32)),
            pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), logits.shape[1]),
        ]
        self._waiting.append(pa.Table.from_arrays(columns, schema=self.schema))
        self._rows += len(sample_ids)
        if self._rows >= ROWS_PER_GROUP:
            self._write_group()

    def close(self) -> None:
        """Finish the file."""
        if self._waiting:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        group = pa.concat_tables(self._waiting).combine_chunks()
        self._writer.write_table(group, row_group_size=self._rows)
        self._waiting, self._rows = [], 0


def read_versioned(path: Path, stage: str, parse: Callable[[pa.Table], T]) -> T:
    """Return what `parse` makes of the table that a stage wrote; it may raise as for damage.

    Raises:
        ManifestError: If the file is absent, damaged, or of another version.
    """
    if not path.exists():
        raise ManifestError(f"{path}: absent; run `dvc repro` or `dvc pull`")
    try:
        table = read_sound(path).combine_chunks()
        version = (table.schema.metadata or {}).get(b"schema_version", b"none").decode(errors="replace")
        if version == str(SCHEMA_VERSION):
            return parse(table)
    except (*DAMAGE, KeyError, TypeError) as error:
        raise damaged(path, error, stage) from error
    raise ManifestError(f"{path}: schema version {version}, this code reads {SCHEMA_VERSION}; run `dvc repro`")


def read_predictions(path: Path) -> PredictionTable:
    """Read a whole table; see `read_versioned` for errors."""

    def parse(table: pa.Table) -> PredictionTable:
        class_names = tuple(json.loads(table.schema.metadata[b"class_names"]))
        if not table.schema.equals(_schema(len(class_names))):
            raise ValueError(f"other columns than those of {len(class_names)} classes")
        return PredictionTable(
            class_names,
            tuple(table["sample_id"].to_pylist()),
            tuple(table["photo_id"].to_pylist()),
            table["target"].to_numpy().astype(np.int64),
            table["prediction"].to_numpy().astype(np.int64),
            table["logits"].combine_chunks().flatten().to_numpy().reshape(-1, len(class_names)),
        )

    return read_versioned(path, "evaluate", parse)
