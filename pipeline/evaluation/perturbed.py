"""Judge one batch under all perturbations, computing each branch's features once per distinct input."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from pipeline.datasets.shards import SampleBatch
from pipeline.evaluation.inference import branches_of, combined_logits, features_of, predict
from pipeline.evaluation.perturbation import Branch, Canvases, Perturbation, kept_shares, perturb_canvases
from pipeline.evaluation.perturbation_plan import Entry
from pipeline.models.rvernet import RveRNet

PLAIN = Entry(None, None, None)
BRANCHES: tuple[Branch, ...] = ("roi", "extra_roi")

Features: TypeAlias = dict[tuple[Branch, Perturbation | None], Tensor]
"""Features by branch and what was done to its input; None is the plain input."""
Shares: TypeAlias = Float64[np.ndarray, "N 3"]
"""Shares in [0, 1] of the photo's, the ROI's and the extra-ROI's pixels still seen; NaN: not moved or no such pixel."""


class Perturbed(NamedTuple):
    """One batch under the plain input and every entry."""

    predictions: Int64[np.ndarray, "E+1 N"]
    """Row 0 without perturbation, row i + 1 under entry i."""
    kept: Float64[np.ndarray, "E N 3"]
    """Shares by entry."""


def judge_perturbed(
    model: RveRNet, batch: SampleBatch, entries: Sequence[Entry], *, pad: int, device: torch.device
) -> Perturbed:
    """Predict a batch without and with perturbations.

    Args:
        model: Run to judge.
        batch: Samples, at least one.
        entries: Perturbations, see `plan_entries`.
        pad: Gray level of the canvas around the photo.
        device: Where the model is.

    Raises:
        EvaluationError: If a logit is not finite.
    """
    features = _features(model, batch, entries, pad, device)
    logits = (
        combined_logits(model, features.get(("roi", e.roi)), features.get(("extra_roi", e.extra_roi)))
        for e in (PLAIN, *entries)
    )
    return Perturbed(
        predictions=np.stack([predict(rows, batch.sample_ids) for rows in logits]),
        kept=np.stack([entry_shares(entry, batch) for entry in entries]),
    )


def _features(model: RveRNet, batch: SampleBatch, entries: Sequence[Entry], pad: int, device: torch.device) -> Features:
    features: Features = {}
    for name, branch in branches_of(model).items():
        images = batch.roi if name == "roi" else batch.extra_roi
        for perturbation in dict.fromkeys((None, *(entry.of(name) for entry in entries))):
            seen = images
            if perturbation is not None:
                seen = perturb_canvases(perturbation, images, batch, branch=name, background=pad)
            features[name, perturbation] = features_of(branch, seen, device)
    return features


def entry_shares(entry: Entry, batch: SampleBatch) -> Shares:
    """Return what survives an entry; where both views move, the photo's share is their mean."""
    photo, regions = photo_pixels(batch), {"roi": batch.masks, "extra_roi": photo_pixels(batch) & ~batch.masks}
    shares = np.full((len(batch), 3), np.nan)
    photo_shares = []
    for column, branch in enumerate(BRANCHES, start=1):
        perturbation = entry.of(branch)
        if perturbation is None:
            continue
        before: Canvases = np.stack([photo, regions[branch]], axis=-1).astype(np.uint8)
        after = perturb_canvases(perturbation, before, batch, branch=branch, background=0)
        kept = kept_shares(before, after)
        photo_shares.append(kept[:, 0])
        shares[:, column] = kept[:, 1]
    shares[:, 0] = np.mean(photo_shares, axis=0)
    return shares


def photo_pixels(batch: SampleBatch) -> Bool[np.ndarray, "N S S"]:
    """Return True inside the photos' rectangles."""
    places = np.arange(batch.masks.shape[1])
    first, size = batch.rects[:, :2, np.newaxis], batch.rects[:, 2:, np.newaxis]
    rows, columns = np.moveaxis((places >= first) & (places < first + size), 1, 0)
    inside: Bool[np.ndarray, "N S S"] = rows[:, :, np.newaxis] & columns[:, np.newaxis, :]
    return inside
