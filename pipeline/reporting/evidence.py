"""The answers of one run to every test sample, plain and disturbed: what every number of the tables is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.arrays import Targets
from pipeline.errors import ManifestError
from pipeline.evaluation.metrics import Predictions
from pipeline.evaluation.perturbation_plan import scale_offset
from pipeline.evaluation.perturbed_results import read_perturbed
from pipeline.evaluation.predictions import PredictionTable
from pipeline.reporting.paper.measures import moved, permuted
from pipeline.reporting.results import PerturbationEntry

PAPER_PATCH, PAPER_SIDE = 16, 224
"""Supplement B: patches and pictures in pixels. Its offsets, of pictures of that side, start from the corner, dy up."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Answers of one run, row-aligned."""

    sample_ids: tuple[str, ...]
    photo_ids: tuple[str, ...]
    targets: Targets
    predictions: Predictions
    """Without disturbance."""
    pair: tuple[int, int] | None
    """Classes of the ambiguous pair; None where the run lacks one, or the test split both."""
    disturbed: Mapping[str, Predictions]
    """By disturbance, as `paper.measures` names it; permutations of the first seed only, as the paper has one."""
    deviations: Mapping[str, str] = field(default_factory=dict)
    """By disturbance, how it differs from the paper's of that name; only those that do."""

    def answers(self, detail: str) -> Predictions | None:
        """Return the predictions under a disturbance, or without one for an empty detail; None if not made."""
        return self.disturbed.get(detail) if detail else self.predictions


def gather(
    table: PredictionTable,
    ambiguous: Sequence[str],
    disturbed: Mapping[str, Predictions],
    deviations: Mapping[str, str],
) -> Evidence:
    """Return the evidence of one run.

    Args:
        table: Its predictions.
        ambiguous: Names of the pair.
        disturbed: Predictions by disturbance.
        deviations: See `deviations_of`.
    """
    pair = table.pair(ambiguous)
    return Evidence(table.sample_ids, table.photo_ids, table.targets, table.predictions, pair, disturbed, deviations)


def read_disturbed(
    folder: Path, entries: Sequence[PerturbationEntry], sample_ids: Sequence[str]
) -> dict[str, Predictions]:
    """Read the predictions of one run under every disturbance.

    Args:
        folder: Output of stage `perturb` for the run.
        entries: Its metrics.
        sample_ids: Samples of the run's plain predictions.

    Raises:
        ManifestError: If the file is absent or damaged, or about other samples.
    """
    path = folder / "predictions.parquet"
    rows = read_perturbed(path)
    stored = pq.read_table(path, columns=["sample_id"])["sample_id"].to_pylist()
    if tuple(stored) != tuple(sample_ids) or len(rows) != len(entries):
        raise ManifestError(
            f"{path}: not about the samples of the run's evaluation; run `dvc repro perturb@{folder.name}`"
        )
    found: dict[str, Predictions] = {}
    for entry, predictions in zip(entries, rows, strict=True):
        found.setdefault(disturbance_of(entry), predictions)
    return found


def deviations_of(entries: Sequence[PerturbationEntry], side: int) -> dict[str, str]:
    """Say of every disturbance that is not the paper's how it differs, by its name.

    Args:
        entries: What was done.
        side: Of the pictures in pixels.
    """
    found = {disturbance_of(entry): _deviation(entry, side) for entry in entries}
    return {name: text for name, text in found.items() if text}


def _deviation(entry: PerturbationEntry, side: int) -> str:
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


def disturbance_of(entry: PerturbationEntry) -> str:
    """Return the name of a disturbance, the same for every seed."""
    if entry.dx is None or entry.dy is None:
        return permuted(entry.target)
    return moved(entry.dx, entry.dy)
