"""Results of earlier stages: schemas, files, predictions by perturbation. Errors name the stage to run."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, JsonValue

from pipeline.arrays import Targets
from pipeline.datasets.sample_batch import FoodVisible
from pipeline.datasets.shards import Shards
from pipeline.evaluation.metrics import EpochRecord, Predictions
from pipeline.evaluation.perturbation import PerturbationKey, Target, read_perturbed_predictions, scale_offset
from pipeline.evaluation.predictions import PREDICTIONS, VALIDATION, PredictionTable, read_predictions
from pipeline.models.card import BackboneCard
from pipeline.params.base import dvc_command, read_record
from pipeline.reporting.grid import GridRun, in_paper_order
from pipeline.runtime.errors import ManifestError

SPLIT = "test"  # the split that runs are evaluated on


class Stored(BaseModel):
    """Base of stored records: immutable, strict, ignores unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)


class EvaluationMetrics(Stored):
    """`metrics.json` of stage `evaluate`: rates, F1 and errors in [0, 1]; `conventions` says what each one means.

    What belongs to the ambiguous pair is None without it. Intervals, the hash of the run's weights and the names of the
    pair are absent in files of earlier versions.
    """

    samples: int
    top1: float
    top1_interval: tuple[float, float] | None = None
    macro_f1: float
    macro_f1_all: float
    ambiguous_f1: float | None
    ambiguous_samples: int
    ambiguous_top1: float | None
    ambiguous_top1_interval: tuple[float, float] | None = None
    ece: float
    majority_rate: float
    epoch: int
    weights_sha256: str | None = None
    ambiguous: tuple[str, ...] = ()
    conventions: dict[str, str]


class PerturbationEntry(Stored):
    """One perturbed pass over the test split: a permutation with its seed, or a translocation from an origin."""

    kind: Literal["permutation", "translocation"]
    target: Target
    seed: int | None
    patch_size: int | None = None  # side of a permutation's patches in pixels; None in files of earlier versions
    origin: str | None = None  # corner or center
    pixels: tuple[int, int] | None = None  # how far it moves, right and down
    dx: int | None
    dy: int | None  # columns and rows of a translocation, in pixels of the paper's 224
    top1: float
    macro_f1: float
    change_top1: float  # difference to the plain pass; negative is worse
    photo_kept: float | None  # share of the photo's pixels that are still in the picture
    roi_kept: float | None  # the same for the pixels of the ROI; None where it was not moved

    @property
    def key(self) -> PerturbationKey:
        """Key of the same perturbation in the paper's tables."""
        return PerturbationKey(self.target, None if self.dx is None or self.dy is None else (self.dx, self.dy))


class PerturbationMetrics(Stored):
    """`metrics.json` of stage `perturb`."""

    entries: tuple[PerturbationEntry, ...]
    conventions: dict[str, str]


class StoredCalibration(Stored):
    """Temperature, which logits are divided by before the softmax."""

    temperature: float
    fitted_on: str | None  # samples that it was fitted on; None where it was not fitted


class RunRecord(Stored):
    """What the report shows of `run.json` of stage `train`."""

    class_names: tuple[str, ...]
    ambiguous: tuple[str, ...] = ()
    """Names of the ambiguous pair that the data set has, in runs of earlier versions and where test curves show it."""
    image_size: int  # side of the inputs in pixels
    backbones: dict[str, BackboneCard]  # by branch
    train: dict[str, JsonValue]
    food_visible: FoodVisible | None = None
    """Samples that see their own food in their extra-ROI, where views are paired by photo."""
    shards_sha256: str  # of the shard manifest that the run was trained on
    weights_sha256: str
    epochs_done: int
    calibration: StoredCalibration
    parameters: int | None = None  # of the model, those of a shared branch once; not in runs of earlier versions

    @property
    def shares_branches(self) -> bool:
        """Whether both branches are one module with one set of weights."""
        names = [backbone.name for backbone in self.backbones.values()]
        return bool(self.train.get("share_branches")) and len(names) > len(set(names))


def read_history(path: Path, stage: str) -> tuple[EpochRecord, ...]:
    """Read epochs, None in empty cells and absent splits.

    Raises:
        ManifestError: If the file, a column or every epoch is absent, or a number is damaged.
    """
    optional = EpochRecord._field_defaults
    try:
        with path.open(encoding="utf-8", newline="") as file:
            epochs = [
                EpochRecord(
                    int(row["epoch"]),
                    **{n: float(row[n]) for n in EpochRecord._fields[1:] if n not in optional or row.get(n)},
                )
                for row in csv.DictReader(file)
            ]
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: absent; run {dvc_command(stage)}") from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ManifestError(f"{path}: damaged ({error!r}); run {dvc_command(stage, again=True)}") from error
    if not epochs:
        raise ManifestError(f"{path}: holds no epoch; run {dvc_command(stage, again=True)}")
    return tuple(epochs)


PAPER_PATCH, PAPER_SIDE = 16, 224
"""Supplement B: patches and pictures in pixels. Its offsets, of pictures of that side, start from the corner, dy up."""


class PerturbedPredictions(NamedTuple):
    """Predictions of a run under one perturbation, of the first seed only, as the paper has one."""

    predictions: Predictions
    deviation: str  # how it differs from the paper's of that key; empty where it does not


@dataclass(frozen=True, slots=True)
class RunPredictions:
    """Predictions of one run, row-aligned; every number of the paper's tables is computed from them."""

    sample_ids: tuple[str, ...]
    photo_ids: tuple[str, ...]
    targets: Targets
    predictions: Predictions  # without perturbation
    pair: tuple[int, int] | None  # classes of the ambiguous pair; None where the run lacks one, or the test split both
    perturbed: Mapping[PerturbationKey, PerturbedPredictions]

    def under(self, key: PerturbationKey | None) -> Predictions | None:
        """Return the predictions under a perturbation, or without one for None; None if not computed."""
        if key is None:
            return self.predictions
        return self.perturbed[key].predictions if key in self.perturbed else None


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Outputs of stages `train`, `evaluate` and `perturb`; ManifestError if a run's file is absent or damaged."""

    runs: Path
    evaluations: Path
    perturbations: Path

    def record(self, run: str) -> RunRecord:
        """Read `run.json` of stage `train`."""
        return read_record(RunRecord, self.runs / run / "run.json", f"train@{run}")

    def history(self, run: str) -> tuple[EpochRecord, ...]:
        """Read `history.csv` of stage `train`."""
        return read_history(self.runs / run / "history.csv", f"train@{run}")

    def metrics(self, run: str) -> EvaluationMetrics:
        """Read `metrics.json` of stage `evaluate`."""
        return read_record(EvaluationMetrics, self.evaluations / run / "metrics.json", f"evaluate@{run}")

    def predictions(self, run: str) -> PredictionTable:
        """Read `predictions.parquet` of stage `evaluate`."""
        return read_predictions(self.evaluations / run / PREDICTIONS)

    def validation(self, run: str) -> PredictionTable | None:
        """Read `validation.parquet` of stage `train`; None without a validation split, or of earlier versions."""
        path = self.runs / run / VALIDATION
        return read_predictions(path) if path.exists() else None

    def perturbation_metrics(self, run: str, *, required: bool = True) -> PerturbationMetrics:
        """Read `metrics.json` of stage `perturb`; unless `required`, no entries for a run without it."""
        path = self.perturbations / run / "metrics.json"
        if not required and not path.exists():
            return PerturbationMetrics(entries=(), conventions={})
        return read_record(PerturbationMetrics, path, f"perturb@{run}")

    def run_predictions(
        self, run: str, table: PredictionTable, ambiguous: Sequence[str], *, perturbed: bool, side: int
    ) -> RunPredictions:
        """Join the predictions of a run without and, where stage `perturb` was run for it, with perturbations.

        `side` is that of the pictures in pixels.

        Raises:
            ManifestError: If a file is damaged, or about other samples.
        """
        entries = self.perturbation_metrics(run).entries if perturbed else ()
        found: dict[PerturbationKey, PerturbedPredictions] = {}
        if entries:
            path = self.perturbations / run / "predictions.parquet"
            rows = read_perturbed_predictions(path)
            stored = pq.read_table(path, columns=["sample_id"])["sample_id"].to_pylist()
            if tuple(stored) != table.sample_ids or len(rows) != len(entries):
                again = dvc_command(f"perturb@{run}")
                raise ManifestError(f"{path}: not about the samples of the run's evaluation; run {again}")
            for entry, predictions in zip(entries, rows, strict=True):
                found.setdefault(entry.key, PerturbedPredictions(predictions, describe_deviation(entry, side)))
        pair = table.pair(ambiguous)
        return RunPredictions(table.sample_ids, table.photo_ids, table.targets, table.predictions, pair, found)

    def evaluated(self) -> tuple[GridRun, ...]:
        """Return the runs that were evaluated, the paper's first and in its order."""
        return in_paper_order(path.parent.name for path in self.evaluations.glob("*/metrics.json"))


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Outputs of earlier stages that the report shows."""

    index: Path
    raw: Path | None  # output of stage `download`; None leaves out everything that shows a photo
    shards: Shards
    files: RunFiles
    explanations: Path
    settings: Path  # output of stage `configure`


def describe_deviation(entry: PerturbationEntry, side: int) -> str:
    """Return how a perturbation of pictures of so many pixels a side differs from the paper's; empty if it does not."""
    if entry.dx is None or entry.dy is None:
        if entry.patch_size is None:
            return "patches of unknown size"
        alike = entry.patch_size * PAPER_SIDE == PAPER_PATCH * side
        text = f"patches of {entry.patch_size} pixels at {side}; the paper's are {PAPER_PATCH} at {PAPER_SIDE}"
        return "" if alike else text
    if entry.origin != "corner":
        return "shifts start from the centred photo; the paper's from the corner"
    right, down = (scale_offset(value, PAPER_SIDE, side) for value in (entry.dx, -entry.dy))
    if entry.pixels == (right, down):
        return ""
    moved = "unknown" if entry.pixels is None else f"{entry.pixels[0]:+d}, {entry.pixels[1]:+d}"
    paper = f"the paper's by {right:+d}, {down:+d}"
    return f"({entry.dx}, {entry.dy}) moves right and down by {moved} pixels at {side}; {paper}"
