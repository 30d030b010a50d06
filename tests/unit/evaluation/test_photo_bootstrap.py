"""The fast bootstrap of the report gives the numbers of the plain one."""

import numpy as np
import pytest

from pipeline.errors import EvaluationError
from pipeline.evaluation.intervals import (
    Bootstrap,
    difference_interval,
    score_interval,
    weighted_macro_f1,
    weighted_pair_f1,
    weighted_top1,
)
from pipeline.evaluation.photo_bootstrap import f1_intervals, mean_intervals
from pipeline.evaluation.predictions import PredictionTable

FEW = Bootstrap(seed=3, resamples=200)
NAMES = ("bread", "ketchup", "chili paste", "egg")


def random_table(seed: int, samples: int = 90, photos: int = 25) -> PredictionTable:
    """Return a run that is right in about half of the samples; the samples are the same for every seed."""
    fixed, varied = np.random.default_rng(0), np.random.default_rng(seed)
    targets = fixed.integers(4, size=samples)
    of_photo = np.sort(fixed.integers(photos, size=samples))
    predictions = np.where(varied.random(samples) < 0.5, targets, varied.integers(4, size=samples))
    ids = tuple(f"test/{photo}/{row}" for row, photo in enumerate(of_photo))
    photo_ids = tuple(f"test/{photo}" for photo in of_photo)
    return PredictionTable(NAMES, ids, photo_ids, targets, predictions, np.eye(4, dtype=np.float32)[predictions])


def test_f1_intervals_are_those_of_the_plain_bootstrap() -> None:
    """The same resamples, hence the same ends to the last digits."""
    table = random_table(1)
    fast = f1_intervals(table.targets, table.predictions, table.photo_ids, (1, 2), FEW)
    assert fast.macro == pytest.approx(score_interval(table, weighted_macro_f1, FEW), abs=1e-12)
    assert fast.pair == pytest.approx(score_interval(table, weighted_pair_f1((1, 2)), FEW), abs=1e-12)


def test_mean_intervals_are_those_of_the_plain_bootstrap() -> None:
    """Of an accuracy, and of a paired difference of two."""
    table, other = random_table(1), random_table(2)
    right = [(t.predictions == t.targets).astype(np.float64) for t in (table, other)]
    columns = np.column_stack([right[0], right[1] - right[0]])
    accuracy, change = mean_intervals(columns, table.photo_ids, FEW)
    assert accuracy == pytest.approx(score_interval(table, weighted_top1, FEW), abs=1e-12)
    assert change == pytest.approx(difference_interval(table, other, weighted_top1, FEW), abs=1e-12)


def test_a_run_without_the_pair_has_no_pair_interval() -> None:
    """None, not zero."""
    table = random_table(1)
    assert f1_intervals(table.targets, table.predictions, table.photo_ids, None, FEW).pair is None


def test_one_photo_leaves_nothing_to_chance() -> None:
    """Every resample is the photo itself, so both ends are the value: 1 of 3 right and F1 computed by hand.

    Class 0: 1 hit, 2 targets, 2 answers, F1 1/2; class 1: no hit, F1 0; mean 1/4.
    """
    targets, predictions = np.array([0, 0, 1]), np.array([0, 1, 0])
    photo = ("test/a",) * 3
    right = (targets == predictions).astype(np.float64)[:, np.newaxis]
    assert mean_intervals(right, photo, FEW)[0] == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert f1_intervals(targets, predictions, photo, (0, 1), FEW).macro == pytest.approx((0.25, 0.25, 0.25))


def test_no_samples_are_refused() -> None:
    """There is nothing to draw from."""
    with pytest.raises(EvaluationError, match="no predictions to resample"):
        mean_intervals(np.zeros((0, 1)), (), FEW)
