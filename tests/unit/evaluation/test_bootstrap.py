"""Intervals: known values, coverage, degenerate cases, and that the photo is what is drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation import bootstrap as intervals
from pipeline.evaluation.bootstrap import Bootstrap, score_resamples, wilson_interval
from pipeline.evaluation.metrics import macro_f1, pair_f1, top1
from pipeline.evaluation.predictions import PredictionTable
from pipeline.runtime.errors import EvaluationError
from tests.plain_bootstrap import (
    difference_interval,
    paired_intervals,
    photo_resamples,
    score_interval,
    weighted_macro_f1,
    weighted_pair_f1,
    weighted_top1,
)

METRICS = {"top1": weighted_top1, "macro_f1": weighted_macro_f1, "pair_f1": weighted_pair_f1((0, 3))}
PLAIN = {"top1": top1, "macro_f1": macro_f1, "pair_f1": lambda t, p: pair_f1(t, p, (0, 3))}


def table(targets: list[int], predictions: list[int], photos: list[int]) -> PredictionTable:
    """Return a table of four classes."""
    return PredictionTable(
        class_names=("a", "b", "c", "d"),
        sample_ids=tuple(f"test/{p}/{i}" for i, p in enumerate(photos)),
        photo_ids=tuple(f"test/{p}" for p in photos),
        targets=np.array(targets, np.int64),
        predictions=np.array(predictions, np.int64),
        logits=np.zeros((len(targets), 4), np.float32),
    )


def random_table(seed: int, photos: int, per_photo: int, right: float) -> PredictionTable:
    """Return a table whose predictions are right with a given probability."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(4, size=photos * per_photo)
    wrong = (targets + generator.integers(1, 4, size=len(targets))) % 4
    predictions = np.where(generator.random(len(targets)) < right, targets, wrong)
    return table(targets.tolist(), predictions.tolist(), np.repeat(np.arange(photos), per_photo).tolist())


def test_wilson_matches_the_paper_s_57_of_72() -> None:
    """79.2 %, 95 % interval 68 to 87 %."""
    value, low, high = wilson_interval(57, 72)
    assert value == pytest.approx(0.7917, abs=1e-4)
    assert (round(low, 2), round(high, 2)) == (0.68, 0.87)


def test_wilson_of_nothing_all_or_none_stays_in_range() -> None:
    """No trials say nothing; extremes touch their end."""
    assert wilson_interval(0, 0) == (0.0, 0.0, 1.0)
    assert wilson_interval(0, 10).low == 0.0
    assert 0 < wilson_interval(0, 10).high < 0.4
    assert wilson_interval(10, 10).high == 1.0


def test_wilson_covers_the_true_share_as_often_as_it_says() -> None:
    """Exact coverage under the binomial: mean over shares near 95 %."""
    trials = 40
    factorials = np.cumsum(np.log(np.arange(1, trials + 1)))
    log_factorial = np.concatenate([[0.0], factorials])
    k = np.arange(trials + 1)
    choose = log_factorial[trials] - log_factorial[k] - log_factorial[trials - k]
    ends = np.array([wilson_interval(int(n), trials)[1:] for n in k])
    shares = np.linspace(0.05, 0.95, 91)
    chances = np.exp(choose + k * np.log(shares[:, None]) + (trials - k) * np.log(1 - shares[:, None]))
    inside = (ends[:, 0] <= shares[:, None]) & (shares[:, None] <= ends[:, 1])
    coverage = (chances * inside).sum(axis=1)
    assert coverage.mean() == pytest.approx(0.95, abs=0.01)
    assert coverage.min() > 0.9


@pytest.mark.parametrize("name", METRICS)
@given(seed=st.integers(0, 50), data=st.data())
def test_a_weighted_metric_is_the_metric_of_repeated_samples(name: str, seed: int, data: st.DataObject) -> None:
    """Weight w is w copies of the sample; a weight of 0 removes it."""
    rows = random_table(seed, photos=6, per_photo=2, right=0.5)
    times = data.draw(st.lists(st.integers(0, 3), min_size=12, max_size=12).filter(any))
    repeated = np.repeat(np.arange(12), times)
    expected = PLAIN[name](rows.targets[repeated], rows.predictions[repeated])
    weights = np.array([times, times], np.float64)
    np.testing.assert_allclose(METRICS[name](rows.targets, rows.predictions, weights), [expected, expected])


def test_a_resample_draws_whole_photos_as_many_as_there_are() -> None:
    """Samples of one photo share a weight, and the photos' weights add up to their number."""
    photos = ["test/b", "test/a", "test/b", "test/c"]
    weights = np.concatenate(list(photo_resamples(photos, Bootstrap(seed=1, resamples=50))))
    assert weights.shape == (50, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)


def test_resamples_do_not_depend_on_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory bounds change no number."""
    rows = random_table(3, photos=10, per_photo=2, right=0.5)
    few = Bootstrap(seed=3, resamples=31)
    whole = score_resamples(rows.targets, rows.predictions, rows.photo_ids, None, few)[1]
    monkeypatch.setattr(intervals, "CELLS_PER_BLOCK", 70)
    np.testing.assert_array_equal(score_resamples(rows.targets, rows.predictions, rows.photo_ids, None, few)[1], whole)


@pytest.mark.parametrize("name", METRICS)
def test_a_table_differs_from_itself_by_nothing(name: str) -> None:
    """The paired interval of equal predictions is a point."""
    rows = random_table(5, photos=30, per_photo=2, right=0.6)
    assert difference_interval(rows, rows, METRICS[name], Bootstrap(0, 100)) == (0.0, 0.0, 0.0)


def test_a_difference_has_the_sign_and_size_of_its_metrics() -> None:
    """`other` minus `table`, within its interval, and mirrored when the tables swap."""
    rows, better = random_table(5, 40, 2, right=0.3), random_table(5, 40, 2, right=0.9)
    forth = difference_interval(rows, better, weighted_top1, Bootstrap(0))
    back = difference_interval(better, rows, weighted_top1, Bootstrap(0))
    expected = top1(better.targets, better.predictions) - top1(rows.targets, rows.predictions)
    assert forth.value == pytest.approx(expected)
    assert 0 < forth.low < forth.value < forth.high
    np.testing.assert_allclose((back.value, back.low, back.high), (-forth.value, -forth.high, -forth.low))


def test_the_interval_covers_the_true_accuracy_about_as_often_as_it_says() -> None:
    """300 data sets of a known accuracy: 95 % nominal, a few less for so few photos."""
    hits = 0
    for seed in range(300):
        _, low, high = score_interval(random_table(seed, 60, 2, right=0.7), weighted_top1, Bootstrap(seed, 300))
        hits += low <= 0.7 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_samples_that_share_a_photo_widen_the_interval() -> None:
    """Ten copies of every sample add no knowledge when they come from one photo."""
    one = random_table(2, photos=50, per_photo=1, right=0.5)
    copies = table(
        np.repeat(one.targets, 10).tolist(), np.repeat(one.predictions, 10).tolist(), np.repeat(range(50), 10).tolist()
    )
    apart = table(copies.targets.tolist(), copies.predictions.tolist(), list(range(500)))
    widths = [i.high - i.low for i in (score_interval(t, weighted_top1, Bootstrap(0)) for t in (one, copies, apart))]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[2] < widths[1] / 2


def test_several_rows_share_their_resamples() -> None:
    """One pass over many perturbations gives what one pass each gives."""
    rows, other = random_table(1, 20, 2, right=0.4), random_table(1, 20, 2, right=0.8)
    together = paired_intervals(rows, [other.predictions, rows.predictions], weighted_macro_f1, Bootstrap(7, 200))
    assert together[0] == score_interval(rows, weighted_macro_f1, Bootstrap(7, 200))
    assert together[1] == difference_interval(rows, other, weighted_macro_f1, Bootstrap(7, 200))
    assert together[2] == (0.0, 0.0, 0.0)


def test_one_photo_gives_a_point() -> None:
    """Every resample is the photo itself."""
    interval = score_interval(table([0, 1], [0, 0], [7, 7]), weighted_top1, Bootstrap(0, 20))
    assert interval == (0.5, 0.5, 0.5)


def test_an_empty_table_is_refused() -> None:
    """There is nothing to draw."""
    with pytest.raises(EvaluationError, match="no predictions"):
        score_interval(table([], [], []), weighted_top1, Bootstrap(0))


def test_tables_of_other_samples_are_refused() -> None:
    """A paired difference needs pairs."""
    with pytest.raises(EvaluationError, match="same samples"):
        difference_interval(table([0], [0], [1]), table([0], [0], [2]), weighted_top1, Bootstrap(0))
