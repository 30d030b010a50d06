"""What `perturb` stores: numbers by entry, and the predictions behind them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64, Int64

from pipeline.arrays import Targets
from pipeline.datasets.parquet import DAMAGE, damaged, read_sound
from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation.metrics import CONVENTIONS, macro_f1, top1
from pipeline.evaluation.perturbation import Permutation, PerturbationSpec, Translocation
from pipeline.runtime.errors import ManifestError

DIGITS = 6
SCHEMA_VERSION = 1

PERTURBATION_CONVENTIONS = {
    "change_top1": "top1 under the perturbation minus top1 without; negative is worse.",
    "permutation": "Patches of the photo's rectangle, padded evenly with black to whole patches, are "
    "shuffled and centred; the gray around is not shuffled. Every sample and branch has a permutation of its own; "
    "`seed` numbers independent ones. `both` uses the permutations of `roi` and `extra_roi`.",
    "translocation": "The photo's rectangle on a gray canvas, moved by `pixels` (right, down). `corner` starts from "
    "the canvas's top left corner, so that (0, 0) differs from plain input by the lost centring alone; `center` "
    "starts from the letterbox. `dx`, `dy` are the offsets as params.yaml gives them.",
    "photo_kept": "Share of the photo's pixels still on the canvas, mean over samples; mean of both views for `both`.",
    "roi_kept": "Share of the ROI's pixels still on the canvas, mean over samples that have any; null where not moved.",
    "extra_roi_kept": "The same of the extra-ROI's pixels.",
}
"""Sentence by name; part of metrics.json."""


class KeptShares(NamedTuple):
    """Running mean of the shares that survive, by entry and region (photo, ROI, extra-ROI)."""

    total: Float64[np.ndarray, "E 3"]
    """Sum over samples."""
    samples: Int64[np.ndarray, "E 3"]
    """Samples that have such a share."""

    @staticmethod
    def none(entries: int) -> "KeptShares":
        """Return the mean of nothing yet."""
        return KeptShares(np.zeros((entries, 3)), np.zeros((entries, 3), np.int64))

    def add(self, shares: Float64[np.ndarray, "E N 3"]) -> "KeptShares":
        """Return the running mean with another batch; NaN counts as no share."""
        return KeptShares(self.total + np.nansum(shares, axis=1), self.samples + (~np.isnan(shares)).sum(axis=1))

    def mean(self, entry: int, region: int) -> float | None:
        """Return a mean share in [0, 1]; None where no sample has one."""
        samples = int(self.samples[entry, region])
        return round(float(self.total[entry, region]) / samples, DIGITS) if samples else None


def perturbation_metrics(
    entries: Sequence[PerturbationSpec], targets: Targets, predictions: Int64[np.ndarray, "P N"], kept: KeptShares
) -> dict[str, object]:
    """Return metrics.json of a run without its name; fractions rounded to six places."""
    plain = top1(targets, predictions[0])
    return {
        "plain_top1": round(plain, DIGITS),
        "plain_macro_f1": round(macro_f1(targets, predictions[0]), DIGITS),
        "entries": [
            {
                **describe_perturbation(entry),
                "top1": round(top1(targets, row), DIGITS),
                "macro_f1": round(macro_f1(targets, row), DIGITS),
                "change_top1": round(top1(targets, row) - plain, DIGITS),
                **{f"{name}_kept": kept.mean(i, column) for column, name in enumerate(("photo", "roi", "extra_roi"))},
            }
            for i, (entry, row) in enumerate(zip(entries, predictions[1:], strict=True))
        ],
        "conventions": {name: CONVENTIONS[name] for name in ("prediction", "top1", "macro_f1")}
        | PERTURBATION_CONVENTIONS,
    }


def describe_perturbation(entry: PerturbationSpec) -> dict[str, object]:
    """Return what an entry does, as metrics.json names it."""
    moved = entry.roi or entry.extra_roi
    permuted = moved if isinstance(moved, Permutation) else None
    shifted = moved if isinstance(moved, Translocation) else None
    dx, dy = entry.key.offset or (None, None)
    return {
        "kind": entry.key.kind,
        "target": entry.key.target,
        "seed": permuted.number if permuted else None,
        "patch_size": permuted.patch_size if permuted else None,
        "dx": dx,
        "dy": dy,
        "origin": shifted.origin if shifted else None,
        "pixels": [shifted.right, shifted.down] if shifted else None,
    }


def write_perturbed_predictions(
    sample_ids: Sequence[str],
    targets: Targets,
    predictions: Int64[np.ndarray, "P N"],
    entries: Sequence[PerturbationSpec],
    path: Path,
) -> None:
    """Write one row a sample: its target, its plain prediction, and a list of those under every entry."""
    perturbed = np.ascontiguousarray(predictions[1:].T, np.int32)
    columns = {
        "sample_id": pa.array(sample_ids, pa.string()),
        "photo_id": pa.array([photo_id_of(i) for i in sample_ids], pa.string()),
        "target": pa.array(targets.astype(np.int32)),
        "prediction": pa.array(predictions[0].astype(np.int32)),
        "perturbed": pa.FixedSizeListArray.from_arrays(pa.array(perturbed.ravel()), len(entries)),
    }
    metadata = {
        "schema_version": str(SCHEMA_VERSION),
        "entries": json.dumps([describe_perturbation(entry) for entry in entries]),
    }
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, compression="zstd")


def read_perturbed_predictions(path: Path) -> Int64[np.ndarray, "E N"]:
    """Return the predictions under every entry of metrics.json, in its order; columns in the test split's order.

    Raises:
        ManifestError: If the file is absent, damaged, or of another version.
    """
    if not path.exists():
        raise ManifestError(f"{path}: absent; run `dvc repro` or `dvc pull`")
    try:
        table = read_sound(path).combine_chunks()
        version = (table.schema.metadata or {}).get(b"schema_version", b"none").decode(errors="replace")
        if version == str(SCHEMA_VERSION):
            column = table["perturbed"].combine_chunks()
            if not (pa.types.is_fixed_size_list(column.type) and column.type.value_type == pa.int32()):
                raise ValueError(f"column perturbed is of {column.type}")
            entries: Int64[np.ndarray, "E N"] = column.flatten().to_numpy().reshape(len(table), -1).T.astype(np.int64)
            return entries
    except (*DAMAGE, KeyError) as error:
        raise damaged(path, error, "perturb") from error
    raise ManifestError(f"{path}: schema version {version}, this code reads {SCHEMA_VERSION}; run `dvc repro`")
