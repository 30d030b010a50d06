"""The results of runs: where they lie, how they are read, and how a run answered every test sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from pipeline.arrays import Targets
from pipeline.evaluation.metrics import Predictions
from pipeline.evaluation.perturbation import PerturbationKey, read_perturbed_predictions, scale_offset
from pipeline.evaluation.predictions import PredictionTable, read_predictions
from pipeline.params.base import dvc_command
from pipeline.reporting.grid import GridRun, in_paper_order
from pipeline.reporting.results import (
    ClassScore,
    Epoch,
    EvaluationMetrics,
    PerturbationEntry,
    PerturbationMetrics,
    RunRecord,
    read_class_scores,
    read_history,
    read_record,
)
from pipeline.runtime.errors import ManifestError

NOT_PERTURBED = PerturbationMetrics(entries=(), conventions={})
PAPER_PATCH, PAPER_SIDE = 16, 224
"""Supplement B: patches and pictures in pixels. Its offsets, of pictures of that side, start from the corner, dy up."""


class PerturbedPredictions(NamedTuple):
    """What a run answers under one perturbation, of the first seed only, as the paper has one."""

    predictions: Predictions
    deviation: str
    """How it differs from the paper's of that key; empty where it does not."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Answers of one run, row-aligned: what every number of the tables is made of."""

    sample_ids: tuple[str, ...]
    photo_ids: tuple[str, ...]
    targets: Targets
    predictions: Predictions
    """Without perturbation."""
    pair: tuple[int, int] | None
    """Classes of the ambiguous pair; None where the run lacks one, or the test split both."""
    perturbed: Mapping[PerturbationKey, PerturbedPredictions]

    def answers(self, key: PerturbationKey | None) -> Predictions | None:
        """Return the predictions under a perturbation, or without one for None; None if not made."""
        if key is None:
            return self.predictions
        return self.perturbed[key].predictions if key in self.perturbed else None


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Folders with one folder a run; every method raises ManifestError for an absent or damaged file."""

    runs: Path
    """Outputs of stage `train`."""
    evaluations: Path
    """Outputs of stage `evaluate`."""
    perturbations: Path
    """Outputs of stage `perturb`."""

    def record(self, run: str) -> RunRecord:
        """Read a run's card."""
        return read_record(RunRecord, self.runs / run / "run.json", f"train@{run}")

    def history(self, run: str) -> tuple[Epoch, ...]:
        """Read a run's epochs."""
        return read_history(self.runs / run / "history.csv", f"train@{run}")

    def metrics(self, run: str) -> EvaluationMetrics:
        """Read what `evaluate` says."""
        return read_record(EvaluationMetrics, self.evaluations / run / "metrics.json", f"evaluate@{run}")

    def predictions(self, run: str) -> PredictionTable:
        """Read what a run answers."""
        return read_predictions(self.evaluations / run / "predictions.parquet")

    def class_scores(self, run: str) -> dict[str, ClassScore]:
        """Read F1 by category."""
        return read_class_scores(self.evaluations / run / "per_class.csv", f"evaluate@{run}")

    def perturbation_metrics(self, run: str, *, required: bool = True) -> PerturbationMetrics:
        """Read what `perturb` says; unless it is required, a run that was not perturbed has no entries."""
        path = self.perturbations / run / "metrics.json"
        if not required and not path.exists():
            return NOT_PERTURBED
        return read_record(PerturbationMetrics, path, f"perturb@{run}")

    def evidence(self, run: str, table: PredictionTable, ambiguous: Sequence[str], *, perturbed: bool) -> Evidence:
        """Join the answers of a run, plain and perturbed.

        Args:
            run: Name of the run.
            table: Its predictions.
            ambiguous: Names of the pair.
            perturbed: Whether stage `perturb` was run for it.
        """
        found = self._perturbed(run, table.sample_ids) if perturbed else {}
        pair = table.pair(ambiguous)
        return Evidence(table.sample_ids, table.photo_ids, table.targets, table.predictions, pair, found)

    def _perturbed(self, run: str, sample_ids: Sequence[str]) -> dict[PerturbationKey, PerturbedPredictions]:
        entries, path = self.perturbation_metrics(run).entries, self.perturbations / run / "predictions.parquet"
        if not entries:
            return {}
        rows, stored = (
            read_perturbed_predictions(path),
            pq.read_table(path, columns=["sample_id"])["sample_id"].to_pylist(),
        )
        if tuple(stored) != tuple(sample_ids) or len(rows) != len(entries):
            raise ManifestError(
                f"{path}: not about the samples of the run's evaluation; run {dvc_command(f'perturb@{run}')}"
            )
        side = self.record(run).image_size
        found: dict[PerturbationKey, PerturbedPredictions] = {}
        for entry, predictions in zip(entries, rows, strict=True):
            found.setdefault(entry.key, PerturbedPredictions(predictions, deviation_of(entry, side)))
        return found

    def made(self) -> tuple[GridRun, ...]:
        """Return the runs that were trained and evaluated, the paper's first and in its order."""
        return in_paper_order(path.parent.name for path in self.evaluations.glob("*/metrics.json"))


def deviation_of(entry: PerturbationEntry, side: int) -> str:
    """Say how a perturbation differs from the paper's of that key; empty where it does not.

    Args:
        entry: What was done.
        side: Of the pictures in pixels.
    """
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
