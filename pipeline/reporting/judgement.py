"""What one run gets right and wrong, beyond one number: calibration, confused pairs, scores by category."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from pipeline.evaluation.metrics import (
    Reliability,
    confidences_of,
    confusion,
    count_classes,
    expected_calibration_error,
    reliability,
    score_classes,
    top_confusions,
)
from pipeline.evaluation.predictions import PredictionTable

PLACES = 6


class CategoryScore(NamedTuple):
    """Scores of one category in [0, 1]."""

    category: str
    samples: int
    predicted: int
    """Samples answered as the category."""
    precision: float
    recall: float
    f1: float


class ConfusedPair(NamedTuple):
    """One kind of wrong answer."""

    category: str
    predicted: str
    samples: int
    share: float
    """Of the category's samples, in [0, 1]."""


class Judgement(NamedTuple):
    """One run, judged on its predictions."""

    categories: tuple[CategoryScore, ...]
    """In class order."""
    confused: tuple[ConfusedPair, ...]
    """Largest first."""
    calibration: Reliability
    """By bin of calibrated confidence."""
    matrix: Int64[np.ndarray, "K K"]
    """Samples by (target, prediction)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the categories in class order."""
        return tuple(score.category for score in self.categories)

    @property
    def ece(self) -> float:
        """Return the expected calibration error in [0, 1]."""
        return expected_calibration_error(self.calibration)

    def as_json(self) -> dict[str, Any]:
        """Return everything but the matrix, rounded to six places; bins without samples are left out."""
        columns = [np.asarray(column).round(PLACES).tolist() for column in self.calibration]
        bins = enumerate(zip(*columns, strict=True))
        return {
            "reliability": {
                "bins": len(self.calibration.samples),
                "filled": [
                    {"bin": place, "samples": samples, "confidence": confidence, "accuracy": accuracy}
                    for place, (samples, confidence, accuracy) in bins
                    if samples
                ],
            },
            "per_class": [_rounded(score) for score in self.categories],
            "top_confusions": [_rounded(pair) for pair in self.confused],
        }


def _rounded(record: CategoryScore | ConfusedPair) -> dict[str, Any]:
    return {n: round(v, PLACES) if isinstance(v, float) else v for n, v in record._asdict().items()}


def judge(table: PredictionTable, *, temperature: float, bins: int, limit: int) -> Judgement:
    """Judge the predictions of a run.

    Args:
        table: Predictions with logits.
        temperature: What the run's logits are divided by before the softmax.
        bins: Bins of confidence.
        limit: Confused pairs to list.
    """
    counts = count_classes(table.targets, table.predictions, len(table.class_names))
    columns = (counts.support, counts.predicted, *score_classes(counts))
    scores = zip(table.class_names, *(column.tolist() for column in columns), strict=True)
    cells = confusion(table.targets, table.predictions)
    matrix = np.zeros((len(table.class_names),) * 2, np.int64)
    matrix[cells.target, cells.prediction] = cells.samples
    pairs = zip(*(column.tolist() for column in top_confusions(cells, limit)), strict=True)
    return Judgement(
        categories=tuple(CategoryScore(*score) for score in scores),
        confused=tuple(_pair(table.class_names, counts.support, *pair) for pair in pairs),
        calibration=reliability(confidences_of(table.logits, temperature), table.targets == table.predictions, bins),
        matrix=matrix,
    )


def _pair(
    names: Sequence[str], support: Int64[np.ndarray, " K"], target: int, answer: int, samples: int
) -> ConfusedPair:
    return ConfusedPair(names[target], names[answer], samples, samples / int(support[target]))
