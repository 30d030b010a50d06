"""Evaluate one run on permuted and translocated inputs; supplement B of the paper, Tables 10 to 12."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from pipeline.datasets.sample_batch import VIEW_NAMES, InputName, SampleBatch, ViewName
from pipeline.evaluation import perturbation
from pipeline.evaluation.perturbation import Perturbation, PerturbationSpec, ViewShares, view_shares
from pipeline.evaluation.session import SPLIT, branches_of, combined_logits, features_of, open_session, predict_classes
from pipeline.models.rvernet import RveRNet
from pipeline.params.stages import PerturbParams
from pipeline.runtime.console import progress
from pipeline.runtime.stores import Place

PLAIN = PerturbationSpec(None, None, None)


class PerturbedBatch(NamedTuple):
    """One batch on the plain input and under every perturbation."""

    predictions: Int64[np.ndarray, "P N"]  # row 0 without perturbation, row i + 1 under perturbation i
    kept: Float64[np.ndarray, "E N 3"]  # shares by perturbation


def predict_perturbed(
    model: RveRNet, batch: SampleBatch, specs: Sequence[PerturbationSpec], *, pad: int, device: torch.device
) -> PerturbedBatch:
    """Predict a batch without and with perturbations; a branch on a cut-out sees each distinct input once.

    The branch of a whole photo sees it put together of perturbed views; shares of pixels are those of the views, also
    where one lies over the other.

    Args:
        model: Model of the run.
        batch: Samples, at least one.
        specs: Perturbations, see `plan_perturbations`.
        pad: Gray level of the canvas around the photo.
        device: Where the model is.

    Raises:
        EvaluationError: If a logit is not finite.
    """
    features: dict[tuple[ViewName, Perturbation | None], Tensor] = {}  # by branch and input; None is the plain one
    shares: ViewShares = {}
    branches = branches_of(model)
    for name in VIEW_NAMES:
        perturbations = tuple(dict.fromkeys(p for spec in specs if (p := spec.of(name)) is not None))
        shares |= view_shares(batch, name, perturbations)
        if name in branches:
            images = getattr(batch, name)
            features[name, None] = features_of(branches[name], images, device)
            for each in perturbations:
                perturbed = perturbation.perturb_canvases(each, images, batch, branch=name, background=pad)
                features[name, each] = features_of(branches[name], perturbed, device)

    def features_under(spec: PerturbationSpec) -> dict[InputName, Tensor]:
        if "photo" in branches:
            return {"photo": features_of(branches["photo"], perturbation.perturb_photos(spec, batch, pad=pad), device)}
        return {name: features[name, spec.of(name)] for name in VIEW_NAMES if name in branches}

    logits = (combined_logits(model, features_under(spec)) for spec in (PLAIN, *specs))
    return PerturbedBatch(
        predictions=np.stack([predict_classes(rows, batch.sample_ids) for rows in logits]),
        kept=np.stack([spec_shares(spec, shares) for spec in specs]),
    )


def spec_shares(spec: PerturbationSpec, shares: ViewShares) -> Float64[np.ndarray, "N 3"]:
    """Return the shares of the photo's, the ROI's and the extra-ROI's pixels; NaN where not moved or without pixels.

    Where both views are perturbed, the photo's share is their mean.
    """
    moved = {name: shares[name, p] for name in VIEW_NAMES if (p := spec.of(name)) is not None}
    photo = np.mean([kept[:, 0] for kept in moved.values()], axis=0)
    unmoved = np.full(len(photo), np.nan)
    return np.stack([photo, *(moved[name][:, 1] if name in moved else unmoved for name in VIEW_NAMES)], axis=1)


def perturb(params: PerturbParams, *, shards: Place, run: Path, output: Path, device: str) -> None:
    """Write `metrics.json` and `predictions.parquet` of one run under every perturbation.

    Raises:
        EvaluationError: If the shards do not fit the run, have no test sample of its classes, or a logit is not finite.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    session = open_session(run, shards, device)
    specs = perturbation.plan_perturbations(params, session.shards.image_size, tuple(branches_of(session.model)))
    batches, kept = [], perturbation.KeptShares.empty(len(specs))
    total, what = session.shards.rows(SPLIT), f"perturb {session.card.run}"
    for batch in progress(session.batches(params.batch_size), total=total, what=what, unit="sample", count=len):
        perturbed = predict_perturbed(session.model, batch, specs, pad=params.pad, device=session.device)
        kept = kept.add(perturbed.kept)
        batches.append((batch.sample_ids, batch.targets, perturbed.predictions))
    ids, target_parts, prediction_parts = zip(*batches, strict=True)
    sample_ids = tuple(sample_id for part in ids for sample_id in part)
    targets, predictions = np.concatenate(target_parts), np.concatenate(prediction_parts, axis=1)
    output.mkdir(parents=True, exist_ok=True)
    perturbation.write_perturbed_predictions(sample_ids, targets, predictions, specs, output / "predictions.parquet")
    metrics = {
        "run": session.card.run,
        "samples": len(sample_ids),
        **perturbation.perturbation_metrics(specs, targets, predictions, kept),
    }
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n", encoding="utf-8")
