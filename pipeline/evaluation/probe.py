"""What features of a frozen backbone tell about foods: a ridge classifier on each view and on views together.

Every photo is tested by a classifier that never saw it, nor chose its strength with it. Strengths are chosen by leaving
out one photo at a time, which for a ridge needs no fit of its own: the error of left-out samples follows from the fit
of all (Cook and Weisberg, Residuals and Influence in Regression, section 2.2).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float32, Float64, Int64

from pipeline.arrays import Targets
from pipeline.evaluation import bootstrap as resampling
from pipeline.evaluation.bootstrap import Bootstrap, StoredInterval
from pipeline.evaluation.metrics import DIGITS, Predictions
from pipeline.params.base import Section, read_record
from pipeline.runtime.errors import EvaluationError

SUMMARY, PREDICTIONS = "probe.json", "predictions.parquet"
STRENGTHS = tuple(10 ** (tenth / 10) for tenth in (10, 5, 0, -5, -10, -15, -20, -25))
"""Ridge strengths to choose from, as shares of the mean squared length of a sample's centred features."""
REFERENCE = ("roi",)  # views that all others are compared with
OTHER = "other_extra_roi"  # the extra-ROI of another photo: as many features, without the sample's surroundings
SAME_FOOD = "same_food_extra_roi"  # that of the same food in another photo: what surrounds that food as a rule
Views: TypeAlias = tuple[str, ...]  # views whose features one classifier has, side by side
FEATURE_SETS: tuple[Views, ...] = (
    ("roi",), ("extra_roi",), ("whole",), ("context",), ("inside",), ("outside",),
    ("roi", "extra_roi"), ("roi", "whole"), ("roi", "context"), ("inside", "outside"),
    ("roi", OTHER), ("roi", SAME_FOOD),
)  # fmt: skip
"""One classifier each."""
FEWEST_PHOTOS = 4  # a strength is chosen by leaving out one of the photos of a fit, which are two at least

Features: TypeAlias = Float32[np.ndarray, "N D"]
Photos: TypeAlias = Int64[np.ndarray, " N"]  # number of each sample's photo, from 0; equal photos are one
Folds: TypeAlias = Int64[np.ndarray, " N"]  # fold that tests each sample, from 0; -1 is only trained on


class Ridge(NamedTuple):
    """A ridge classifier: the class of the highest score."""

    strength: float  # one of `STRENGTHS`
    weights: Float64[np.ndarray, "D K"]  # of features, towards one-hot targets
    intercept: Float64[np.ndarray, " K"]  # scores of zero features

    def scores(self, features: Float64[np.ndarray, "M D"]) -> Float64[np.ndarray, "M K"]:
        """Return a score by class; without any information it is the class's share of the training samples."""
        scores: Float64[np.ndarray, "M K"] = features @ self.weights + self.intercept
        return scores


def fit_ridge(features: Float64[np.ndarray, "N D"], targets: Targets, photos: Photos, *, classes: int) -> Ridge:
    """Fit a ridge classifier with the strength that classifies most samples of left-out photos correctly.

    The samples are of at least two photos. Of equal strengths the largest is taken. One eigendecomposition of the
    smaller of both Gram matrices serves all.
    """
    mean, onehot = features.mean(axis=0), np.eye(classes)[targets]
    prior, centred = onehot.mean(axis=0), features - mean
    tall = centred.shape[0] >= centred.shape[1]
    values, vectors = np.linalg.eigh(centred.T @ centred if tall else centred @ centred.T)
    kept = values > max(values.max(initial=0) * max(centred.shape) * np.finfo(np.float64).eps, 0)  # above rounding
    variances, vectors = values[kept], vectors[:, kept]
    directions = vectors if tall else centred.T @ vectors / np.sqrt(variances)
    projected = centred @ directions
    moments = projected.T @ (onehot - prior)
    sizes, order = np.bincount(photos)[photos], np.argsort(photos, kind="stable")
    blocks = {int(size): order[sizes[order] == size] for size in np.unique(sizes)}  # rows of photos of as many samples
    shrinkages = 1 / (variances + np.outer(STRENGTHS, [variances.sum() / len(features)]))
    errors = onehot - prior - np.stack([projected @ (row[:, np.newaxis] * moments) for row in shrinkages])
    num_correct = np.zeros(len(STRENGTHS), np.int64)
    for size, rows in blocks.items():
        of_photos = projected[rows].reshape(len(rows) // size, size, len(variances))
        leverages = np.empty((len(STRENGTHS), len(of_photos), size, size))
        for one, other in combinations_with_replacement(range(size), 2):
            products = (of_photos[:, one] * of_photos[:, other]) @ shrinkages.T + 1 / len(features)
            leverages[:, :, one, other] = leverages[:, :, other, one] = products.T
        of_blocks = errors[:, rows].reshape(len(STRENGTHS), len(of_photos), size, classes)
        left_out = np.linalg.solve(np.eye(size) - leverages, of_blocks).reshape(len(STRENGTHS), len(rows), classes)
        num_correct += ((onehot[rows] - left_out).argmax(axis=2) == targets[rows]).sum(axis=1)
    best = int(num_correct.argmax())
    weights = directions @ (shrinkages[best][:, np.newaxis] * moments)
    return Ridge(STRENGTHS[best], weights, prior - mean @ weights)


def assign_folds(photos: Photos, splits: Sequence[str], *, folds: int, seed: int) -> Folds:
    """Return the fold that tests each sample, from 0; all samples of a photo are in one.

    Args:
        photos: Photo of each sample, numbered by what it shows, not by its place.
        splits: Split of each sample.
        folds: Number of folds; 0 tests the test split alone, -1 is the fold of what is only trained on.
        seed: Seed of the assignment.

    Raises:
        EvaluationError: If there are too few photos.
    """
    total = int(photos.max(initial=-1)) + 1
    if not folds:
        fold: Folds = np.where(np.asarray(splits) == "test", 0, -1)
        train, test = (len(np.unique(photos[fold == number])) for number in (-1, 0))
        if train < FEWEST_PHOTOS // 2 or not test:
            raise EvaluationError(f"probe.folds 0 needs photos of both splits, here {train} and {test}; set it to 5")
        return fold
    if total < max(folds, FEWEST_PHOTOS):
        raise EvaluationError(
            f"probe.folds {folds} needs {max(folds, FEWEST_PHOTOS)} photos, here are {total}; lower it"
        )
    dealt: Folds = (np.random.default_rng(seed).permutation(total) % folds)[photos]
    return dealt


def other_rows(
    photos: Photos, targets: Targets, seed: int, groups: Int64[np.ndarray, " N"] | None = None
) -> Int64[np.ndarray, " N"]:
    """Return for each sample a row of another photo of its group; -1 where the group has no other photo.

    No order of the rows changes which sample that is. The photos of a group are put in a ring by `seed`, and each gets
    the next one's samples; None for groups puts all samples into one.
    """
    rows, others = np.lexsort((targets, photos)), np.full(len(photos), -1, np.int64)
    generator = np.random.default_rng(seed)
    of_rows = np.zeros_like(rows) if groups is None else groups[rows]
    for group in np.unique(of_rows):
        members = rows[of_rows == group]
        _, starts, place, sizes = np.unique(photos[members], return_index=True, return_inverse=True, return_counts=True)
        ring = generator.permutation(len(starts))
        following = np.empty_like(ring)
        following[ring] = np.roll(ring, -1)
        if len(ring) > 1:
            position, chosen = np.arange(len(members)) - starts[place], following[place]
            others[members] = members[starts[chosen] + position % sizes[chosen]]
    return others


class HeldOut(NamedTuple):
    """Predictions for samples that the classifiers did not see."""

    predictions: Predictions  # by sample; -1 for one that is never tested
    strengths: tuple[float, ...]  # chosen strength by fold
    features: int  # number of features


def predict_held_out(features: Features, targets: Targets, photos: Photos, fold: Folds, *, classes: int) -> HeldOut:
    """Predict each fold by a classifier fitted on all others."""
    predictions, strengths = np.full(len(targets), -1, np.int64), []
    for number in range(int(fold.max()) + 1):
        tested = fold == number
        fitted = ~np.isin(photos, photos[tested])  # not by fold: a photo may be twice in the data set, in both splits
        ridge = fit_ridge(features[fitted].astype(np.float64), targets[fitted], photos[fitted], classes=classes)
        predictions[tested] = ridge.scores(features[tested].astype(np.float64)).argmax(axis=1)
        strengths.append(round(ridge.strength, DIGITS))
    return HeldOut(predictions, tuple(strengths), features.shape[1])


def same_food_rows(photos: Photos, targets: Targets, fold: Folds, seed: int) -> Int64[np.ndarray, " N"]:
    """Return for each sample the row of another photo that shows the same food; -1 where its fold has none.

    Both are of one fold, so that no features of tested photos are among those of training. See `other_rows`.
    """
    return other_rows(photos, targets, seed, fold * (int(targets.max()) + 1) + targets)


def probe_views(
    views: Mapping[str, Features], targets: Targets, photos: Photos, fold: Folds, *, seed: int
) -> dict[Views, HeldOut]:
    """Return the predictions of each of `FEATURE_SETS`, from features by view without `OTHER` and `SAME_FOOD`.

    A sample without the same food in another photo gets for `SAME_FOOD` the extra-ROI of any other.
    """
    classes, others = int(targets.max()) + 1, other_rows(photos, targets, seed)
    same_food = same_food_rows(photos, targets, fold, seed)
    partners = {OTHER: others, SAME_FOOD: np.where(same_food < 0, others, same_food)}
    known = {**views, **{name: views["extra_roi"][rows] for name, rows in partners.items()}}
    return {
        names: predict_held_out(
            np.concatenate([known[name] for name in names], axis=1), targets, photos, fold, classes=classes
        )
        for names in FEATURE_SETS
    }


class ProbeRow(Section):
    """One classifier; scores in [0, 1], intervals of 95 % over photos."""

    views: Views  # views whose features it has
    features: int  # number of features
    strengths: tuple[float, ...]  # chosen ridge strength by fold
    top1: StoredInterval  # share of right predictions
    macro_f1: StoredInterval  # mean F1 over classes that occur in targets or predictions
    gain_top1: StoredInterval | None  # top-1 minus that of the ROI, on the same resampled photos; None for the ROI
    gain_macro_f1: StoredInterval | None  # likewise, of macro F1
    p_top1: float | None  # two-sided p of the gain in top-1 by the resamples, adjusted for all rows by Holm's procedure
    p_macro_f1: float | None  # likewise, of macro F1


class ProbeSummary(Section):
    """`probe.json`: what the features of one frozen backbone tell."""

    backbone: str  # name in section `backbones`
    timm: str  # timm model id
    weights: str | None  # SHA-256 of the weights; None for random ones
    source: str  # mask source of the shards
    image_size: int  # side of all views in pixels
    folds: int  # folds over all photos; 0 is the data set's own split
    photos: int  # photos tested; equal ones count once
    samples: int  # samples tested
    majority_rate: float  # share of the most frequent class: what always answering it would score
    nothing_outside: int  # samples whose mask covers the whole photo: their features outside are zeros
    without_same_food: int = 0  # samples without that food elsewhere in their fold; older summaries lack the control
    rows: tuple[ProbeRow, ...]  # one a classifier, in the order of `FEATURE_SETS`


def score_rows(
    found: Mapping[Views, HeldOut], targets: Targets, photos: Photos, bootstrap: Bootstrap
) -> tuple[ProbeRow, ...]:
    """Return the scores of every classifier, each compared with the ROI alone; photos are resampled."""
    tested = found[REFERENCE].predictions >= 0
    true, photo_ids = targets[tested], [f"{photo:09d}" for photo in photos[tested].tolist()]
    scored = {
        name: resampling.score_resamples(true, held.predictions[tested], photo_ids, None, bootstrap)
        for name, held in found.items()
    }
    plain, resampled = scored[REFERENCE]
    gains, p_values = {}, {}
    for name, (values, draws) in scored.items():
        if name != REFERENCE:
            changes = draws - resampled
            gains[name] = resampling.percentile_intervals(values - plain, changes, bootstrap)
            # Twice the share of resamples beyond zero, never 0.
            beyond = np.minimum((changes <= 0).sum(axis=0), (changes >= 0).sum(axis=0))
            p_values[name] = np.minimum(2 * (beyond + 1) / (len(changes) + 1), 1)
    adjusted = dict(zip(p_values, resampling.holm(np.array(list(p_values.values()))), strict=True))
    return tuple(
        ProbeRow(
            views=name,
            features=held.features,
            strengths=held.strengths,
            top1=StoredInterval.of(resampling.share_interval(held.predictions[tested] == true, photo_ids, bootstrap)),
            macro_f1=StoredInterval.of(resampling.percentile_intervals(*scored[name], bootstrap)[1]),
            gain_top1=StoredInterval.of(gains[name][0]) if name in gains else None,
            gain_macro_f1=StoredInterval.of(gains[name][1]) if name in gains else None,
            p_top1=round(float(adjusted[name][0]), DIGITS) if name in gains else None,
            p_macro_f1=round(float(adjusted[name][1]), DIGITS) if name in gains else None,
        )
        for name, held in found.items()
    )


def read_probe(folder: Path) -> ProbeSummary:
    """Read `folder/probe.json`; a ManifestError if it is absent or damaged."""
    return read_record(ProbeSummary, folder / SUMMARY, f"probe@{folder.name}")
