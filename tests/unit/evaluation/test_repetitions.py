"""Mean, spread and paired differences over seeds."""

import statistics

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.predictions import PredictionTable
from pipeline.evaluation.repetitions import Repetitions, compare_seeds
from pipeline.runtime.errors import EvaluationError
from tests.plain_bootstrap import difference_interval, weighted_top1

NAMES = ("bread", "ketchup", "chili paste")
PAIR = ("ketchup", "chili paste")
MANY = Bootstrap(seed=0, resamples=40_000)
FEW = Bootstrap(seed=3, resamples=500)
T_OF_2 = 4.303
"""Quantile 0.975 of Student's t with 2 degrees of freedom, from tables."""


def table(right: list[int], photos: list[int], *, names: tuple[str, ...] = NAMES) -> PredictionTable:
    """Return a run that is right where there is a 1, and answers the next class elsewhere."""
    targets = np.arange(len(right)) % 3
    predictions = np.where(np.array(right, bool), targets, (targets + 1) % 3)
    ids = tuple(f"test/{photo}/{row}" for row, photo in enumerate(photos))
    photo_ids = tuple(f"test/{photo}" for photo in photos)
    return PredictionTable(names, ids, photo_ids, targets, predictions, np.eye(3, dtype=np.float32)[predictions])


def tables(rows: list[list[int]], photos: list[int] | None = None) -> list[PredictionTable]:
    """Return a run under as many seeds as there are rows."""
    return [table(right, photos or list(range(len(right)))) for right in rows]


def random_runs(seeds: int, samples: int = 60) -> dict[str, list[PredictionTable]]:
    """Return two runs on the same photos, of two samples each."""
    generator, photos = np.random.default_rng(1), [row // 2 for row in range(samples)]
    draws = {run: (generator.random((seeds, samples)) < share).astype(int) for run, share in (("a", 0.5), ("b", 0.7))}
    return {run: [table(list(right), photos) for right in rows] for run, rows in draws.items()}


def top1_of(found: Repetitions) -> tuple[float, float, float]:
    """Return the difference in top-1 and its ends."""
    (contrast,) = (c for c in found.contrasts if c.score == "top1")
    return contrast.difference.value, contrast.difference.low, contrast.difference.high


def test_mean_and_deviation_are_those_of_the_seeds() -> None:
    """By hand: 1, 2 and 3 of 3 right."""
    runs = {"a": tables([[1, 0, 0], [1, 1, 0], [1, 1, 1]])}
    found = compare_seeds((0, 1, 2), runs, PAIR, FEW)
    spread = found.spreads[0]
    assert (spread.run, spread.score, found.contrasts) == ("a", "top1", ())
    assert spread.by_seed == pytest.approx((1 / 3, 2 / 3, 1), abs=1e-6)
    assert (spread.mean, spread.deviation) == pytest.approx((2 / 3, 1 / 3), abs=1e-6)
    assert (found.samples, found.photos, found.seeds) == (3, 3, (0, 1, 2))


def test_without_noise_of_the_seeds_the_interval_is_that_of_the_photos() -> None:
    """Every seed answers alike, so nothing is added to the paired bootstrap over photos."""
    first, second = (runs[0] for runs in random_runs(1).values())
    found = compare_seeds((0, 1, 2), {"a": [first] * 3, "b": [second] * 3}, (), FEW)
    expected = difference_interval(first, second, weighted_top1, FEW)
    assert top1_of(found) == pytest.approx(tuple(expected), abs=1e-6)


def test_without_noise_of_the_photos_the_interval_is_students() -> None:
    """One photo is every resample of itself, so what is left is the t interval of the differences by seed."""
    photos = [0] * 12
    shares = {"a": (3, 4, 3), "b": (6, 5, 9)}
    runs = {
        run: [table([1] * right + [0] * (12 - right), photos) for right in rights] for run, rights in shares.items()
    }
    differences = [(b - a) / 12 for a, b in zip(*shares.values(), strict=True)]
    half = T_OF_2 * statistics.stdev(differences) / 3**0.5
    value, low, high = top1_of(compare_seeds((0, 1, 2), runs, (), MANY))
    assert value == pytest.approx(statistics.fmean(differences), abs=1e-6)
    assert (high - value, value - low) == pytest.approx((half, half), rel=0.05)


def test_both_sources_of_noise_widen_the_interval() -> None:
    """Photos and seeds together leave more open than either alone."""
    runs = random_runs(3)
    value, low, high = top1_of(compare_seeds((0, 1, 2), runs, (), MANY))
    by_seed = [float(weighted(b) - weighted(a)) for a, b in zip(*runs.values(), strict=True)]
    students = 2 * T_OF_2 * statistics.stdev(by_seed) / 3**0.5
    photos = [difference_interval(a, b, weighted_top1, FEW) for a, b in zip(*runs.values(), strict=True)]
    assert high - low > students
    assert high - low > min(interval.high - interval.low for interval in photos) / 3**0.5
    assert low < value < high


def weighted(run: PredictionTable) -> float:
    """Return top-1."""
    return float((run.targets == run.predictions).mean())


def test_what_all_runs_share_does_not_blur_a_difference() -> None:
    """Seeds that are good or bad for both runs alike leave the paired difference sharp."""
    rows = [[1] * right + [0] * (30 - right) for right in (5, 15, 25)]
    runs = {"a": tables(rows), "b": tables([[1, *row[:-1]] for row in rows])}
    found = compare_seeds((0, 1, 2), runs, (), FEW)
    (contrast,) = (c for c in found.contrasts if c.score == "top1")
    assert contrast.by_seed == pytest.approx([1 / 30] * 3, abs=1e-6)
    assert contrast.deviation == 0
    assert found.spreads[0].deviation == pytest.approx(1 / 3, abs=1e-6)


def test_fewer_seeds_make_wider_intervals() -> None:
    """With the same spread of the differences: 12.7 for two seeds, 2.4 for eight."""
    photos, wide, narrow = [0] * 10, [2, 4], [2, 4] * 4
    widths = []
    for rights in (wide, narrow):
        runs = {
            "a": [table([0] * 10, photos) for _ in rights],
            "b": [table([1] * right + [0] * (10 - right), photos) for right in rights],
        }
        _, low, high = top1_of(compare_seeds(range(len(rights)), runs, (), MANY))
        widths.append(high - low)
    assert widths[0] > 8 * widths[1]


def test_runs_of_other_class_sets_are_not_compared() -> None:
    """Their samples differ; each still has its spread."""
    others = [table([1, 0, 1], [0, 1, 2], names=("bread", "egg", "rice")) for _ in range(2)]
    found = compare_seeds((0, 1), {"a": tables([[1, 0, 0], [1, 1, 0]]), "b": others}, PAIR, FEW)
    assert found.contrasts == ()
    assert {(s.run, s.score) for s in found.spreads} == {
        ("a", "top1"), ("a", "macro_f1"), ("a", "ambiguous_f1"), ("b", "top1"), ("b", "macro_f1"),
    }  # fmt: skip


def test_seeds_judged_on_other_samples_are_refused() -> None:
    """A repetition of an older data set would otherwise be compared sample by sample with another one's."""
    mixed = [table([1, 0, 0], [0, 1, 2]), table([1, 0, 0], [0, 1, 3])]
    with pytest.raises(EvaluationError, match="same samples and classes"):
        compare_seeds((0, 1), {"a": mixed}, PAIR, FEW)
    with pytest.raises(EvaluationError, match="no predictions to resample"):
        compare_seeds((0, 1), {"a": [mixed[0].select(())] * 2}, PAIR, FEW)


def test_the_same_answers_give_the_same_numbers() -> None:
    """Whenever they are asked."""
    runs = random_runs(3)
    assert compare_seeds((0, 1, 2), runs, PAIR, FEW) == compare_seeds((0, 1, 2), runs, PAIR, FEW)


def test_nothing_repeated_is_an_empty_record() -> None:
    """It reads back as such."""
    empty = Repetitions()
    assert Repetitions.model_validate_json(empty.model_dump_json()) == empty
    assert not empty.seeds
