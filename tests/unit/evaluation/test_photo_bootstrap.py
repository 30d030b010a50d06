"""The fast bootstrap of the report gives the numbers of the plain one."""

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import (
    Bootstrap,
    gain_interval,
    mean_intervals,
    paired_differences,
    score_intervals,
    share_interval,
    sign_flip_p,
    wilson_interval,
)
from pipeline.evaluation.predictions import PredictionTable
from pipeline.runtime.errors import EvaluationError
from tests.plain_bootstrap import (
    difference_interval,
    score_interval,
    weighted_macro_f1,
    weighted_pair_f1,
    weighted_top1,
)

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
    fast = score_intervals(table.targets, table.predictions, table.photo_ids, (1, 2), FEW)
    assert fast["macro_f1"] == pytest.approx(score_interval(table, weighted_macro_f1, FEW), abs=1e-12)
    assert fast["ambiguous_f1"] == pytest.approx(score_interval(table, weighted_pair_f1((1, 2)), FEW), abs=1e-12)


def test_mean_intervals_are_those_of_the_plain_bootstrap() -> None:
    """Of an accuracy, and of a paired difference of two."""
    table, other = random_table(1), random_table(2)
    right = [(t.predictions == t.targets).astype(np.float64) for t in (table, other)]
    columns = np.column_stack([right[0], right[1] - right[0]])
    accuracy, change = mean_intervals(columns, table.photo_ids, FEW)
    assert accuracy == pytest.approx(score_interval(table, weighted_top1, FEW), abs=1e-12)
    assert change == pytest.approx(difference_interval(table, other, weighted_top1, FEW), abs=1e-12)


def test_differences_are_those_of_the_plain_bootstrap() -> None:
    """By score, the pair's too; other samples are refused."""
    table, other = random_table(1), random_table(2)
    found = paired_differences(table, other, (1, 2), FEW)
    metrics = {"top1": weighted_top1, "macro_f1": weighted_macro_f1, "ambiguous_f1": weighted_pair_f1((1, 2))}
    assert found.keys() == metrics.keys()
    for name, metric in metrics.items():
        assert found[name] == pytest.approx(difference_interval(table, other, metric, FEW), abs=1e-12)
    assert paired_differences(table, other, None, FEW).keys() == {"top1", "macro_f1"}
    with pytest.raises(EvaluationError, match="same samples"):
        paired_differences(table, random_table(1, samples=89), None, FEW)


def test_a_run_without_the_pair_has_no_pair_interval() -> None:
    """Not even zero."""
    table = random_table(1)
    found = score_intervals(table.targets, table.predictions, table.photo_ids, None, FEW)
    assert found.keys() == {"top1", "macro_f1"}


def test_one_photo_leaves_nothing_to_chance() -> None:
    """Every resample is the photo itself, so both ends are the value: 1 of 3 right and F1 computed by hand.

    Class 0: 1 hit, 2 targets, 2 answers, F1 1/2; class 1: no hit, F1 0; mean 1/4.
    """
    targets, predictions = np.array([0, 0, 1]), np.array([0, 1, 0])
    photo = ("test/a",) * 3
    right = (targets == predictions).astype(np.float64)[:, np.newaxis]
    assert mean_intervals(right, photo, FEW)[0] == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    scores = score_intervals(targets, predictions, photo, (0, 1), FEW)
    assert scores["macro_f1"] == pytest.approx((0.25, 0.25, 0.25))


def test_no_samples_are_refused() -> None:
    """There is nothing to draw from."""
    with pytest.raises(EvaluationError, match="no predictions to resample"):
        mean_intervals(np.zeros((0, 1)), (), FEW)


def test_a_share_covers_the_true_one_as_often_as_it_says_where_samples_of_a_photo_are_alike() -> None:
    """Of 600 data sets of 120 photos the interval holds the true share in 93 to 97 %, Wilson's of the samples does not.

    A photo has 1 to 7 samples, 3.6 in the mean as in FoodSeg103, and is easy or hard: they are right with a chance that
    is drawn for the photo, of mean 0.6 (Beta(1.2, 0.8), so that right answers of a photo correlate by 1/3).
    """
    generator, photos, few = np.random.default_rng(0), 120, Bootstrap(0, resamples=400)
    covered = np.zeros(2)
    for _ in range(600):
        samples = generator.choice([1, 3, 4, 7], p=[0.25, 0.25, 0.3, 0.2], size=photos)
        chances = np.repeat(generator.beta(1.2, 0.8, photos), samples)
        right = generator.random(len(chances)) < chances
        photo_ids = np.repeat(np.arange(photos), samples).astype(str).tolist()
        for place, found in enumerate(
            (share_interval(right, photo_ids, few), wilson_interval(int(right.sum()), len(right)))
        ):
            covered[place] += found.low <= 0.6 <= found.high
    by_photo, by_sample = covered / 600
    assert 0.93 <= by_photo <= 0.97
    assert by_sample < 0.85


@pytest.mark.parametrize("photos", [8, 40])
def test_a_gain_covers_the_true_one_as_often_as_it_says(photos: int) -> None:
    """Also of a group of few photos, where plain resamples vary too little; of 500 data sets of correlated samples.

    A photo has 1 to 7 samples and favours one of both runs: a sample gains with a chance of 0.15 in the mean, and loses
    with 0.08.
    """
    generator, few, covered = np.random.default_rng(1), Bootstrap(0, resamples=300), np.zeros(2)
    for _ in range(500):
        samples = generator.choice([1, 3, 4, 7], p=[0.25, 0.25, 0.3, 0.2], size=photos)
        favour = np.repeat(generator.random(photos), samples)
        change = (generator.random(len(favour)) < 0.3 * favour).astype(np.int64)
        change -= generator.random(len(favour)) < 0.16 * (1 - favour)
        ids = np.repeat(np.arange(photos), samples).astype(str).tolist()
        plain = mean_intervals(change[:, np.newaxis].astype(np.float64), ids, few)[0]
        for place, found in enumerate((gain_interval(change, ids, few), plain)):
            covered[place] += found.low <= 0.07 <= found.high
    padded, plain_share = covered / 500
    assert 0.93 <= padded <= 0.98
    assert plain_share < (0.9 if photos == 8 else 0.95)


def test_no_change_of_few_photos_is_not_surely_none() -> None:
    """Ten photos on which two runs agree may be followed by one on which they do not."""
    value, low, high = gain_interval(np.zeros(10, np.int64), list("abcdefghij"), FEW)
    assert value == 0
    assert low < -0.05
    assert high > 0.05


def test_the_sign_flip_test_counts_every_flip() -> None:
    """Photos of net gains 2, 1 and -1, by hand; a photo whose samples cancel is left out."""
    change, photo_ids = np.array([1, 1, 1, -1, 1, -1]), list("aabcdd")
    sums = [2 * a + b + c for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    expected = sum(abs(total) >= 2 for total in sums) / 8
    assert sign_flip_p(change, photo_ids) == pytest.approx(expected)
    assert sign_flip_p(np.zeros(3, np.int64), list("abc")) == 1
    assert sign_flip_p(np.ones(12, np.int64), list("abcdefghijkl")) == pytest.approx(2 / 2**12)


def test_a_share_is_never_surer_than_of_independent_samples() -> None:
    """Resamples of seven photos, six of them right, hardly ever have fewer than four right; Wilson's reaches below."""
    found = share_interval(np.array([True] * 6 + [False]), list("abcdefg"), FEW)
    assert found.low <= wilson_interval(6, 7).low < 0.5
    assert found.high >= wilson_interval(6, 7).high


@pytest.mark.parametrize("hits", [True, False])
def test_a_share_without_variation_counts_photos(hits: bool) -> None:
    """40 samples of 4 photos, all right, say as much as 4 of 4; no resample would differ."""
    photo_ids = [f"test/{row % 4}" for row in range(40)]
    assert share_interval(np.full(40, hits), photo_ids, FEW) == wilson_interval(4 if hits else 0, 4)


def test_a_share_of_nothing_says_nothing() -> None:
    """0, somewhere between 0 and 1."""
    assert share_interval(np.zeros(0, np.bool_), [], FEW) == (0.0, 0.0, 1.0)
