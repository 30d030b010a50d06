"""Confidence intervals by a bootstrap over photos; Wilson's interval for independent samples.

Samples of one photo are not independent, so photos are resampled. Only the sums over the samples of a photo are needed;
they are whole numbers, so no order of addition changes them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pipeline.arrays import Targets
from pipeline.evaluation.metrics import DIGITS, Predictions
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import Section
from pipeline.runtime.errors import EvaluationError

CELLS_PER_BLOCK = 2_000_000
SCORES = ("top1", "macro_f1", "ambiguous_f1")  # columns of `score_resamples`; the last only where there is a pair


class Interval(NamedTuple):
    """A value of the samples as they are, and the ends of its confidence interval."""

    value: float
    low: float
    high: float


class StoredInterval(Section):
    """An interval in a result file."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval) -> "StoredInterval":
        """Round to `DIGITS` places."""
        return cls(**{name: round(float(value), DIGITS) for name, value in interval._asdict().items()})


Pair: TypeAlias = tuple[int, int]  # classes of the ambiguous pair
Values: TypeAlias = Float64[np.ndarray, " M"]  # M scores or differences of the samples as they are
Draws: TypeAlias = Float64[np.ndarray, "R M"]  # those of R resamples
Scores: TypeAlias = Mapping[str, Interval]  # value with its interval by score, as `SCORES` names them


class Bootstrap(NamedTuple):
    """How to resample photos; the same seed and photos give the same resamples."""

    seed: int
    resamples: int = 2000
    confidence: float = 0.95  # coverage of the interval, in (0, 1)


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion; without trials the value is 0 and the interval [0, 1]."""
    if trials == 0:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, scale = successes / trials, 1 + z * z / trials
    center = (share + z * z / (2 * trials)) / scale
    half = z / scale * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    return Interval(share, max(0.0, min(share, center - half)), min(1.0, max(share, center + half)))


def check_paired(table: PredictionTable, other: PredictionTable) -> None:
    """Raise `EvaluationError` unless two tables hold the same samples and classes."""
    if table.sample_ids != other.sample_ids or table.class_names != other.class_names:
        raise EvaluationError(
            "a paired difference needs predictions for the same samples and classes; compare runs of one class set"
        )


def mean_intervals(
    values: Float64[np.ndarray, "N M"], photo_ids: Sequence[str], bootstrap: Bootstrap
) -> tuple[Interval, ...]:
    """Return the mean over samples of each of M columns; all columns are resampled together.

    A column is for instance 1 where a run is right, or the difference of two such columns.

    Raises:
        EvaluationError: If there are no samples.
    """
    photos = _photos(photo_ids)
    sums = np.zeros((int(photos.max()) + 1, values.shape[1] + 1))
    np.add.at(sums, photos, np.column_stack([values, np.ones(len(values))]))
    totals = np.concatenate([times @ sums for times in _draws(len(sums), bootstrap)])
    return percentile_intervals(values.mean(axis=0), totals[:, :-1] / totals[:, -1:], bootstrap)


def gain_interval(change: Int64[np.ndarray, " N"], photo_ids: Sequence[str], bootstrap: Bootstrap) -> Interval:
    """Return the mean change of paired answers with its interval over photos; there is at least one.

    A change is 1 where only the second of two runs is right, -1 where only the first is, else 0. Resamples of few
    photos, or of few that change, vary too little: so one photo of each sign, of one sample, is added to the draw.

    Reference:
        Agresti and Min, Simple improved confidence intervals for comparing matched proportions, 2005.
    """
    padded = np.append(change, (1, -1)).astype(np.float64)[:, np.newaxis]
    (found,) = mean_intervals(padded, [*photo_ids, "one gained", "one lost"], bootstrap)
    value = float(change.mean())
    return Interval(value, min(value, found.low), max(value, found.high))


def share_interval(right: Bool[np.ndarray, " N"], photo_ids: Sequence[str], bootstrap: Bootstrap) -> Interval:
    """Return the share of right answers in [0, 1] with its interval over photos.

    Resamples of few photos vary too little, so the interval is never narrower than Wilson's of independent samples.
    Where all or none is right it is Wilson's with photos as trials. Without samples the share is 0 and the interval
    [0, 1].
    """
    hits, photos = int(right.sum()), len(set(photo_ids))
    alone = wilson_interval(hits, len(right), confidence=bootstrap.confidence)
    if hits in {0, len(right)}:
        resampled = wilson_interval(photos if hits else 0, photos, confidence=bootstrap.confidence)
    else:
        (resampled,) = mean_intervals(right[:, np.newaxis].astype(np.float64), photo_ids, bootstrap)
    return Interval(alone.value, min(alone.low, resampled.low), max(alone.high, resampled.high))


def score_intervals(
    targets: Targets, predictions: Predictions, photo_ids: Sequence[str], pair: Pair | None, bootstrap: Bootstrap
) -> Scores:
    """Return the scores of a run with intervals from the same resamples; see `score_resamples`."""
    return _by_score(*score_resamples(targets, predictions, photo_ids, pair, bootstrap), bootstrap)


def score_resamples(
    targets: Targets, predictions: Predictions, photo_ids: Sequence[str], pair: Pair | None, bootstrap: Bootstrap
) -> tuple[Values, Draws]:
    """Return top-1, macro F1 and, with a pair, its F1: of the samples as they are, and of every resample.

    The same photos and bootstrap give the same resamples, so rows of two runs can be subtracted.

    Raises:
        EvaluationError: If there are no samples.
    """
    photos = _photos(photo_ids)
    shape = int(photos.max()) + 1, int(max(targets.max(), predictions.max(), *(pair or ()))) + 1
    right = targets == predictions
    hits, of_target, of_prediction = (
        np.bincount(owners * shape[1] + labels, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
        for owners, labels in ((photos[right], targets[right]), (photos, targets), (photos, predictions))
    )
    found, labelled = [], of_target + of_prediction
    for times in (np.ones((1, shape[0])), *_draws(shape[0], bootstrap)):
        correct, either = times @ hits, times @ labelled
        f1 = 2 * correct / np.maximum(either, 1)
        top1 = 2 * correct.sum(axis=1) / either.sum(axis=1)
        macro = f1.sum(axis=1) / (either > 0).sum(axis=1)
        found.append(np.stack([top1, macro, *([f1[:, list(pair)].mean(axis=1)] if pair else [])], axis=1))
    return found[0][0], np.concatenate(found[1:])


def paired_differences(
    table: PredictionTable, other: PredictionTable, pair: Pair | None, bootstrap: Bootstrap
) -> Scores:
    """Return the scores of `other` minus those of `table`, both on the same resampled photos.

    Raises:
        EvaluationError: If the tables hold other samples or none.
    """
    check_paired(table, other)
    (before, drawn_before), (after, drawn_after) = (
        score_resamples(t.targets, t.predictions, t.photo_ids, pair, bootstrap) for t in (table, other)
    )
    return _by_score(after - before, drawn_after - drawn_before, bootstrap)


def compare_students(
    tables: Mapping[str, PredictionTable], ambiguous: Sequence[str], bootstrap: Bootstrap
) -> tuple[dict[str, Scores], dict[tuple[str, str], Scores]]:
    """Return the scores of every run, and of every two runs the later one's minus the earlier one's.

    All are scored on the same resamples of the photos. `ambiguous` are the names of the pair.

    Raises:
        EvaluationError: If the tables hold other samples or none.
    """
    for table, other in combinations(tables.values(), 2):
        check_paired(table, other)
    drawn = {
        name: score_resamples(table.targets, table.predictions, table.photo_ids, table.pair(ambiguous), bootstrap)
        for name, table in tables.items()
    }
    scores: dict[str, Scores] = {name: _by_score(*found, bootstrap) for name, found in drawn.items()}
    changes: dict[tuple[str, str], Scores] = {}
    for first, second in combinations(tables, 2):
        plain, resampled = (after - before for before, after in zip(drawn[first], drawn[second], strict=True))
        changes[first, second] = _by_score(plain, resampled, bootstrap)
    return scores, changes


def _by_score(values: Values, draws: Draws, bootstrap: Bootstrap) -> dict[str, Interval]:
    return dict(zip(SCORES, percentile_intervals(values, draws, bootstrap), strict=False))


def percentile_intervals(values: Values, draws: Draws, bootstrap: Bootstrap) -> tuple[Interval, ...]:
    """Return the values of the samples as they are with the percentiles of those of every resample."""
    tail = (1 - bootstrap.confidence) / 2
    ends = np.quantile(draws, [tail, 1 - tail], axis=0)
    return tuple(Interval(*map(float, row)) for row in zip(values, *ends, strict=True))


def _photos(photo_ids: Sequence[str]) -> Int64[np.ndarray, " N"]:
    if not photo_ids:
        raise EvaluationError("no predictions to resample; check that the test split has samples of the run's classes")
    return np.unique(np.asarray(photo_ids), return_inverse=True)[1].astype(np.int64)


def _draws(photos: int, bootstrap: Bootstrap) -> Iterator[Float64[np.ndarray, "R P"]]:
    """Yield how often each photo is drawn in each resample; as many as there are, with replacement."""
    generator = np.random.default_rng(bootstrap.seed)
    block = max(1, CELLS_PER_BLOCK // photos)
    for start in range(0, bootstrap.resamples, block):
        size = min(block, bootstrap.resamples - start)
        drawn = generator.integers(photos, size=(size, photos)) + photos * np.arange(size)[:, np.newaxis]
        yield np.bincount(drawn.ravel(), minlength=size * photos).reshape(size, photos).astype(np.float64)


def sign_flip_p(change: Int64[np.ndarray, " N"], photo_ids: Sequence[str]) -> float:
    """Return the exact two-sided p of the net change of paired answers, as if photos swapped both runs at random.

    For `change` see `gain_interval`; photos whose samples cancel do not count.
    """
    nets: Counter[str] = Counter()
    for photo_id, step in zip(photo_ids, change.tolist(), strict=True):
        nets[photo_id] += step
    chances = np.ones(1)  # of the sums from -n to n, n the sum of all net changes so far
    for step in (abs(net) for net in nets.values() if net):
        wider = np.zeros(len(chances) + 2 * step)
        wider[: len(chances)] += chances / 2
        wider[2 * step :] += chances / 2
        chances = wider
    sums = np.arange(len(chances)) - len(chances) // 2
    return min(1.0, float(chances[abs(sums) >= abs(int(change.sum()))].sum()))


def holm(p_values: Float64[np.ndarray, "C M"]) -> Float64[np.ndarray, "C M"]:
    """Return p adjusted for C comparisons, column by column, so that any error among them is as rare as its level says.

    Reference:
        Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    order = p_values.argsort(axis=0, kind="stable")
    factors = np.arange(len(p_values), 0, -1)[:, np.newaxis]
    stepped = np.maximum.accumulate(np.take_along_axis(p_values, order, axis=0) * factors, axis=0)
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1), axis=0)
    return adjusted
