"""A plain bootstrap over photos, by weights of samples: what `pipeline.evaluation.bootstrap` must agree with."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from pipeline.arrays import Targets
from pipeline.evaluation.bootstrap import Bootstrap, Interval, check_paired
from pipeline.evaluation.metrics import Predictions
from pipeline.evaluation.predictions import PredictionTable
from pipeline.runtime.errors import EvaluationError

CELLS_PER_BLOCK = 2_000_000

Weights: TypeAlias = Float64[np.ndarray, "R N"]
"""How often each of N samples occurs in each of R resamples; whole numbers."""
Scores: TypeAlias = Float64[np.ndarray, " R"]
"""A metric of every resample."""
Metric: TypeAlias = Callable[[Targets, Predictions, Weights], Scores]
"""A metric of weighted samples, for all resamples at once."""


def weighted_top1(targets: Targets, predictions: Predictions, weights: Weights) -> Scores:
    """Return the share of right predictions in [0, 1] of every resample."""
    scores: Scores = weights @ (targets == predictions).astype(np.float64) / weights.sum(axis=1)
    return scores


def weighted_macro_f1(targets: Targets, predictions: Predictions, weights: Weights) -> Scores:
    """Return the paper's macro F1 in [0, 1] of every resample: over the classes that occur in it."""
    f1, occurs = _weighted_f1(targets, predictions, weights, int(max(targets.max(), predictions.max())) + 1)
    scores: Scores = f1.sum(axis=1) / occurs.sum(axis=1)
    return scores


def weighted_pair_f1(pair: tuple[int, int]) -> Metric:
    """Return the metric: mean F1 in [0, 1] of two classes, both always counted."""

    def metric(targets: Targets, predictions: Predictions, weights: Weights) -> Scores:
        classes = int(max(targets.max(), predictions.max(), *pair)) + 1
        scores: Scores = _weighted_f1(targets, predictions, weights, classes)[0][:, list(pair)].mean(axis=1)
        return scores

    return metric


def _weighted_f1(
    targets: Targets, predictions: Predictions, weights: Weights, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    right = targets == predictions
    hits = _weighted_counts(targets[right], weights[:, right], classes)
    either = _weighted_counts(targets, weights, classes) + _weighted_counts(predictions, weights, classes)
    return 2 * hits / np.maximum(either, 1), either > 0


def _weighted_counts(labels: Targets, weights: Weights, classes: int) -> Float64[np.ndarray, "R K"]:
    resamples = len(weights)
    cells = labels + classes * np.arange(resamples)[:, np.newaxis]
    counts = np.bincount(cells.ravel(), weights.ravel(), minlength=resamples * classes)
    return counts.reshape(resamples, classes)


def score_interval(table: PredictionTable, metric: Metric, bootstrap: Bootstrap) -> Interval:
    """Return a metric of a run with its percentile interval over resampled photos.

    Raises:
        EvaluationError: If the table is empty.
    """
    return paired_intervals(table, [], metric, bootstrap)[0]


def difference_interval(
    table: PredictionTable, other: PredictionTable, metric: Metric, bootstrap: Bootstrap
) -> Interval:
    """Return `other` minus `table` with its interval; both are scored on the same resampled photos.

    Raises:
        EvaluationError: If the tables hold other samples or none.
    """
    check_paired(table, other)
    return paired_intervals(table, [other.predictions], metric, bootstrap)[1]


def paired_intervals(
    table: PredictionTable, others: Sequence[Predictions], metric: Metric, bootstrap: Bootstrap
) -> tuple[Interval, ...]:
    """Return the metric of `table`, then how much each of `others` differs from it, all on the same resamples.

    Args:
        table: Predictions of a run.
        others: Predictions for the same samples, row-aligned with `table`.
        metric: One of `weighted_top1`, `weighted_macro_f1`, `weighted_pair_f1(pair)`.
        bootstrap: How to resample.

    Raises:
        EvaluationError: If the table is empty.
    """
    if not table.sample_ids:
        raise EvaluationError("no predictions to resample; check that the test split has samples of the run's classes")

    def changes(weights: Weights) -> Float64[np.ndarray, "R M"]:
        plain, *rest = (metric(table.targets, row, weights) for row in (table.predictions, *others))
        return np.stack([plain, *(scores - plain for scores in rest)], axis=1)

    values = changes(np.ones((1, len(table.targets))))[0]
    draws = np.concatenate([changes(w) for w in photo_resamples(table.photo_ids, bootstrap)])
    tail = (1 - bootstrap.confidence) / 2
    ends = np.quantile(draws, [tail, 1 - tail], axis=0)
    return tuple(Interval(*map(float, row)) for row in zip(values, *ends, strict=True))


def photo_resamples(photo_ids: Sequence[str], bootstrap: Bootstrap) -> Iterator[Weights]:
    """Yield sample weights of bootstrap resamples of photos, in blocks of bounded memory.

    Every resample draws as many photos as there are, with replacement, and takes all samples of each.
    """
    photo_of = _group(photo_ids)
    photos = int(photo_of.max()) + 1
    generator = np.random.default_rng(bootstrap.seed)
    block = max(1, CELLS_PER_BLOCK // len(photo_of))
    for start in range(0, bootstrap.resamples, block):
        size = min(block, bootstrap.resamples - start)
        drawn = generator.integers(photos, size=(size, photos)) + photos * np.arange(size)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=size * photos).reshape(size, photos)
        yield times[:, photo_of].astype(np.float64)


def _group(photo_ids: Sequence[str]) -> Int64[np.ndarray, " N"]:
    return np.unique(np.asarray(photo_ids), return_inverse=True)[1].astype(np.int64)
