"""Metrics of a classifier from targets and predictions; `CONVENTIONS` says what each one means at its edges."""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pipeline.arrays import Logits, Targets

Predictions: TypeAlias = Int64[np.ndarray, " N"]  # predicted class indices in [0, K), row-aligned with the targets

DIGITS = 6  # decimal places of every stored score
CONVENTIONS = {
    "prediction": "The class of the highest logit; among equal logits the lowest class index.",
    "top1": "Share of samples whose prediction is their target; 0 on an empty set.",
    "precision": "True positives over predictions of the class; 0 for a class never predicted.",
    "recall": "True positives over samples of the class; 0 for a class without samples.",
    "f1": "2 TP / (2 TP + FP + FN); 0 for a class that is neither target nor prediction of any sample.",
    "macro_f1": "Mean F1 over the classes that are target or prediction of at least one sample, as in the paper; "
    "absent classes are skipped; 0 on an empty set.",
    "macro_f1_all": "Mean F1 over all classes of the run; absent classes count as 0.",
    "ambiguous_f1": "Mean F1 of the two ambiguous classes, both always counted, on the predictions for the whole test "
    "set, as in the paper; null where one of them is no class of the run or neither has a test sample.",
    "ambiguous_top1": "Share of samples of the two ambiguous classes whose prediction, among all classes, is their "
    "target; null where ambiguous_f1 is.",
    "top1_interval": "95 % percentile bootstrap over photos, since samples of one photo are not independent; never "
    "narrower than Wilson's interval of independent samples, and Wilson's with photos as trials where all or none is "
    "right.",
    "ambiguous_top1_interval": "Likewise.",
    "ece": "Expected calibration error of the top-1 confidence (softmax maximum of the logits over the run's "
    "temperature, as `predict` gives it) in equal-width bins (a, b]: mean of |accuracy - mean confidence| weighted by "
    "samples; confidence 0 belongs to the first bin. What the temperature was fitted on is in run.json.",
    "ece_uncalibrated": "The same without the temperature.",
    "majority_rate": "Share of the most frequent target of the test set: what always answering it would score.",
}
"""Sentence by metric; part of every metrics.json."""


class ClassCounts(NamedTuple):
    """True positives, targets and predictions of K classes, which precision, recall and F1 are made of."""

    hits: Int64[np.ndarray, " K"]
    support: Int64[np.ndarray, " K"]
    predicted: Int64[np.ndarray, " K"]


class ClassScores(NamedTuple):
    """Scores of K classes in [0, 1]."""

    precision: Float64[np.ndarray, " K"]
    recall: Float64[np.ndarray, " K"]
    f1: Float64[np.ndarray, " K"]


class Confusion(NamedTuple):
    """Non-zero cells of a confusion matrix, sorted by (target, prediction)."""

    target: Int64[np.ndarray, " C"]
    prediction: Int64[np.ndarray, " C"]
    samples: Int64[np.ndarray, " C"]  # at least 1


class Reliability(NamedTuple):
    """Samples, mean confidence and accuracy in [0, 1] by confidence bin; empty bins hold zeros."""

    samples: Int64[np.ndarray, " bins"]
    confidence: Float64[np.ndarray, " bins"]
    accuracy: Float64[np.ndarray, " bins"]


class EpochRecord(NamedTuple):
    """One row of history.csv; losses are mean cross-entropies in nats, the rest are fractions in [0, 1]."""

    epoch: int  # from 1
    learning_rate: float  # rate of the epoch's last step
    train_loss: float  # while the weights moved, on flipped samples; so is `train_top1`
    train_top1: float
    test_loss: float | None = None  # after the epoch, as all that follow; of the test split None without test curves
    test_top1: float | None = None
    test_macro_f1: float | None = None  # over classes that occur in targets or predictions
    test_ambiguous_f1: float | None = None  # mean over a given ambiguous pair; None if the run does not have both
    validation_loss: float | None = None  # none, as what follows, without a validation split
    validation_top1: float | None = None
    validation_macro_f1: float | None = None


def count_classes(targets: Targets, predictions: Predictions, classes: int = 0) -> ClassCounts:
    """Count hits, targets and predictions of so many classes, or of more where a higher one occurs."""
    length = max(classes, int(max(targets.max(initial=-1), predictions.max(initial=-1))) + 1)
    hits = targets[targets == predictions]
    return ClassCounts(*(np.bincount(labels, minlength=length) for labels in (hits, targets, predictions)))


def score_classes(counts: ClassCounts) -> ClassScores:
    """Return precision, recall and F1 per class; a class with nothing to divide by scores 0."""
    hits, support, predicted = counts
    precision, recall = hits / np.maximum(predicted, 1), hits / np.maximum(support, 1)
    return ClassScores(precision, recall, f1=2 * hits / np.maximum(support + predicted, 1))


def top1(targets: Targets, predictions: Predictions) -> float:
    """Return the share of right predictions in [0, 1]; 0 on an empty set."""
    return _mean(targets == predictions)


def macro_f1(targets: Targets, predictions: Predictions) -> float:
    """Return the paper's macro F1 in [0, 1]: the mean over classes that occur in targets or predictions."""
    counts = count_classes(targets, predictions)
    return _mean(score_classes(counts).f1[(counts.support + counts.predicted) > 0])


def macro_f1_all(targets: Targets, predictions: Predictions, classes: int) -> float:
    """Return the mean F1 in [0, 1] over all `classes` classes; absent ones count as 0."""
    return _mean(score_classes(count_classes(targets, predictions, classes)).f1)


def pair_f1(targets: Targets, predictions: Predictions, pair: tuple[int, int]) -> float:
    """Return the mean F1 in [0, 1] of two classes on predictions for the whole test set (Tables 3, 4 and 9)."""
    return _mean(score_classes(count_classes(targets, predictions, max(pair) + 1)).f1[list(pair)])


def majority_rate(targets: Targets) -> float:
    """Return the share of the most frequent target in [0, 1]; 0 on an empty set."""
    return float(np.bincount(targets).max(initial=0) / max(len(targets), 1))


def confusion(targets: Targets, predictions: Predictions) -> Confusion:
    """Count samples per (target, prediction), without a matrix of all cells."""
    width = int(predictions.max(initial=0)) + 1
    cells, samples = np.unique(targets * width + predictions, return_counts=True)
    return Confusion(target=cells // width, prediction=cells % width, samples=samples)


def top_confusions(cells: Confusion, limit: int) -> Confusion:
    """Return the `limit` largest wrong cells, largest first, ties by (target, prediction)."""
    wrong = np.flatnonzero(cells.target != cells.prediction)
    largest = wrong[np.argsort(-cells.samples[wrong], kind="stable")[:limit]]
    return Confusion(*(column[largest] for column in cells))


def confidences_of(logits: Logits, temperature: float) -> Float64[np.ndarray, " N"]:
    """Return the softmax maximum in (0, 1] of logits over a temperature above 0, in double precision."""
    scaled = (logits.astype(np.float64) - logits.max(axis=1, keepdims=True)) / temperature
    confidences: Float64[np.ndarray, " N"] = 1 / np.exp(scaled).sum(axis=1)
    return confidences


def reliability(confidences: Float64[np.ndarray, " N"], right: Bool[np.ndarray, " N"], bins: int) -> Reliability:
    """Group samples by confidence in [0, 1] into equal-width bins (a, b], at least one; `right` tells correct ones."""
    index = np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)
    samples = np.bincount(index, minlength=bins)
    sums = (np.bincount(index, values, minlength=bins) for values in (confidences, right.astype(np.float64)))
    return Reliability(samples, *(total / np.maximum(samples, 1) for total in sums))


def expected_calibration_error(table: Reliability) -> float:
    """Return the mean gap between accuracy and confidence in [0, 1], weighted by samples; 0 on an empty set."""
    gaps = np.abs(table.accuracy - table.confidence)
    return float(gaps @ table.samples / max(int(table.samples.sum()), 1))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
