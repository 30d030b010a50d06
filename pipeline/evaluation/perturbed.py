"""Judge one batch under all perturbations, computing each branch's features once per distinct input."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from pipeline.datasets.sample_batch import VIEW_NAMES, SampleBatch
from pipeline.evaluation.inference import branches_of, combined_logits, features_of, predict
from pipeline.evaluation.perturbation import Branch, Canvases, Perturbation, kept_shares, perturb_canvases, region_sizes
from pipeline.evaluation.perturbation_plan import Entry
from pipeline.models.rvernet import RveRNet

PLAIN = Entry(None, None, None)
BRANCHES: tuple[Branch, ...] = VIEW_NAMES

Features: TypeAlias = dict[tuple[Branch, Perturbation | None], Tensor]
"""Features by branch and what was done to its input; None is the plain input."""
ViewShares: TypeAlias = dict[tuple[Branch, Perturbation], Float64[np.ndarray, "N 2"]]
"""Shares in [0, 1] that survive, of the photo's pixels and of those the view shows; NaN where there are none."""
Shares: TypeAlias = Float64[np.ndarray, "N 3"]
"""Shares in [0, 1] of the photo's, the ROI's and the extra-ROI's pixels still seen; NaN: not moved or no such pixel."""


class Perturbed(NamedTuple):
    """One batch under the plain input and every entry."""

    predictions: Int64[np.ndarray, "P N"]
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
        predictions=np.stack([predict(rows, batch.sample_ids) for rows in logits]),
        kept=np.stack([entry_shares(entry, shares) for entry in entries]),
    )


def view_shares(batch: SampleBatch, branch: Branch, views: Iterable[Perturbation]) -> ViewShares:
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


def entry_shares(entry: Entry, shares: ViewShares) -> Shares:
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
