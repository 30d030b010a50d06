"""Judge one run with permuted and translocated inputs; supplement B of the paper, Tables 10 to 12."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from pipeline.arrays import Targets
from pipeline.datasets.sample_batch import VIEW_NAMES, SampleBatch, ViewName
from pipeline.evaluation.perturbation import (
    Canvases,
    Perturbation,
    PerturbationSpec,
    kept_shares,
    perturb_canvases,
    plan_perturbations,
    region_sizes,
)
from pipeline.evaluation.perturbation_results import KeptShares, perturbation_metrics, write_perturbed_predictions
from pipeline.evaluation.session import (
    EvalSession,
    branches_of,
    combined_logits,
    features_of,
    open_session,
    predict_classes,
)
from pipeline.models.rvernet import RveRNet
from pipeline.params.stages import PerturbParams
from pipeline.runtime.console import progress
from pipeline.runtime.stores import Place

# Judge one batch under all perturbations, computing each branch's features once per distinct input.


PLAIN = PerturbationSpec(None, None, None)
BRANCHES: tuple[ViewName, ...] = VIEW_NAMES

Features: TypeAlias = dict[tuple[ViewName, Perturbation | None], Tensor]
"""Features by branch and what was done to its input; None is the plain input."""
ViewShares: TypeAlias = dict[tuple[ViewName, Perturbation], Float64[np.ndarray, "N 2"]]
"""Shares in [0, 1] that survive, of the photo's pixels and of those the view shows; NaN where there are none."""
Shares: TypeAlias = Float64[np.ndarray, "N 3"]
"""Shares in [0, 1] of the photo's, the ROI's and the extra-ROI's pixels still seen; NaN: not moved or no such pixel."""


class Perturbed(NamedTuple):
    """One batch under the plain input and every entry."""

    predictions: Int64[np.ndarray, "P N"]
    """Row 0 without perturbation, row i + 1 under entry i."""
    kept: Float64[np.ndarray, "E N 3"]
    """Shares by entry."""


def predict_perturbed(
    model: RveRNet, batch: SampleBatch, entries: Sequence[PerturbationSpec], *, pad: int, device: torch.device
) -> Perturbed:
    """Predict a batch without and with perturbations.

    Args:
        model: Run to judge.
        batch: Samples, at least one.
        entries: Perturbations, see `plan_perturbations`.
        pad: Gray level of the canvas around the photo.
        device: Where the model is.

    Raises:
        EvaluationError: If a logit is not finite.
    """
    features: Features = {}
    shares: ViewShares = {}
    for name, branch in branches_of(model).items():
        views = tuple(dict.fromkeys(p for entry in entries if (p := entry.of(name)) is not None))
        images = batch.roi if name == "roi" else batch.extra_roi
        features[name, None] = features_of(branch, images, device)
        for view in views:
            seen = perturb_canvases(view, images, batch, branch=name, background=pad)
            features[name, view] = features_of(branch, seen, device)
        shares |= view_shares(batch, name, views)
    logits = (
        combined_logits(model, features.get(("roi", e.roi)), features.get(("extra_roi", e.extra_roi)))
        for e in (PLAIN, *entries)
    )
    return Perturbed(
        predictions=np.stack([predict_classes(rows, batch.sample_ids) for rows in logits]),
        kept=np.stack([entry_shares(entry, shares) for entry in entries]),
    )


def view_shares(batch: SampleBatch, branch: ViewName, views: Iterable[Perturbation]) -> ViewShares:
    """Return what survives of one branch's view: shares of the photo's pixels and of those that the view shows."""
    photo = photo_pixels(batch)
    shown = batch.masks if branch == "roi" else photo & ~batch.masks
    levels: Canvases = (photo.astype(np.uint8) + shown)[..., np.newaxis]
    sizes = region_sizes(levels)
    return {
        (branch, view): kept_shares(
            sizes, region_sizes(perturb_canvases(view, levels, batch, branch=branch, background=0))
        )
        for view in views
    }


def entry_shares(entry: PerturbationSpec, shares: ViewShares) -> Shares:
    """Return what survives an entry; where both views move, the photo's share is their mean."""
    moved = {name: shares[name, view] for name in BRANCHES if (view := entry.of(name)) is not None}
    photo = np.mean([kept[:, 0] for kept in moved.values()], axis=0)
    unmoved = np.full(len(photo), np.nan)
    return np.stack([photo, *(moved[name][:, 1] if name in moved else unmoved for name in BRANCHES)], axis=1)


def photo_pixels(batch: SampleBatch) -> Bool[np.ndarray, "N S S"]:
    """Return True inside the photos' rectangles."""
    places = np.arange(batch.masks.shape[1])
    first, size = batch.rects[:, :2, np.newaxis], batch.rects[:, 2:, np.newaxis]
    rows, columns = np.moveaxis((places >= first) & (places < first + size), 1, 0)
    inside: Bool[np.ndarray, "N S S"] = rows[:, :, np.newaxis] & columns[:, np.newaxis, :]
    return inside


class PerturbedOutputs(NamedTuple):
    """What stays in memory of the test split: 8 bytes a sample and entry."""

    sample_ids: tuple[str, ...]
    """Samples in row order."""
    targets: Targets
    """True classes."""
    predictions: Int64[np.ndarray, "P N"]
    """Row 0 without perturbation, row i + 1 under entry i."""


def perturb(params: PerturbParams, *, shards: Place, run: Path, output: Path, device: str) -> None:
    """Write `metrics.json` and `predictions.parquet` of one run under every perturbation.

    Args:
        params: Section `perturb`.
        shards: Folder of shards.
        run: Folder of the run.
        output: Folder to write.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        EvaluationError: If the shards do not fit the run, have no test sample of its classes, or a logit is not finite.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    trial = open_session(run, shards, device)
    entries = plan_perturbations(params, trial.shards.image_size, tuple(branches_of(trial.model)))
    verdicts, kept = _judge(trial, entries, params)
    output.mkdir(parents=True, exist_ok=True)
    write_perturbed_predictions(*verdicts, entries, output / "predictions.parquet")
    metrics = {
        "run": trial.card.run,
        "samples": len(verdicts.sample_ids),
        **perturbation_metrics(entries, verdicts.targets, verdicts.predictions, kept),
    }
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _judge(
    trial: EvalSession, entries: Sequence[PerturbationSpec], params: PerturbParams
) -> tuple[PerturbedOutputs, KeptShares]:
    parts, kept = [], KeptShares.none(len(entries))
    total, what = trial.batch_count(params.batch_size), f"perturb {trial.card.run}"
    for batch in progress(trial.batches(params.batch_size), total=total, what=what, unit="batch"):
        judged = predict_perturbed(trial.model, batch, entries, pad=params.pad, device=trial.device)
        kept = kept.add(judged.kept)
        parts.append(PerturbedOutputs(batch.sample_ids, batch.targets, judged.predictions))
    ids, targets, predictions = zip(*parts, strict=True)
    names = tuple(name for part in ids for name in part)
    return PerturbedOutputs(names, np.concatenate(targets), np.concatenate(predictions, axis=1)), kept
