"""Numbers and tables of one run."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.bootstrap import Bootstrap, share_interval
from pipeline.steps.evaluate import describe_pair, describe_run, write_tables

NAMES = ("bread", "sauce, red", "ketchup", "chili paste")
TARGETS = np.array([0, 0, 2, 2, 3, 3, 3, 1])
PREDICTIONS = np.array([0, 2, 2, 3, 3, 3, 0, 1])
PHOTOS = tuple("aabbccde")


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def interval_of(right: np.ndarray, photos: Sequence[str]) -> list[float]:
    """Return the stored interval of a share."""
    return [round(end, 6) for end in share_interval(right, photos, Bootstrap(0))[1:]]


def test_whole_set_numbers_of_a_hand_computed_case() -> None:
    """5 of 8 right; F1 of bread 1/2, sauce 1, ketchup 1/2, chili paste 2/3; 0.7 is 0.075 too sure, 0.8 is 0.175."""
    numbers = describe_run(TARGETS, PREDICTIONS, np.array([[0.7, 0.8]] * 8), PHOTOS, classes=5, ece_bins=10)
    assert numbers == {
        "samples": 8,
        "top1": 0.625,
        "top1_interval": interval_of(TARGETS == PREDICTIONS, PHOTOS),
        "macro_f1": round((0.5 + 1 + 0.5 + 2 / 3) / 4, 6),
        "macro_f1_all": round((0.5 + 1 + 0.5 + 2 / 3) / 5, 6),
        "ece": 0.075,
        "ece_uncalibrated": 0.175,
        "majority_rate": 0.375,
    }


def test_the_pair_is_judged_on_the_whole_test_set() -> None:
    """Bread taken for ketchup costs ketchup's precision, but is no sample of the pair."""
    assert describe_pair(TARGETS, PREDICTIONS, PHOTOS, (2, 3)) == {
        "ambiguous_f1": round((0.5 + 2 / 3) / 2, 6),
        "ambiguous_samples": 5,
        "ambiguous_top1": 0.6,
        "ambiguous_top1_interval": interval_of(np.array([1, 0, 1, 1, 0], np.bool_), tuple("bbccd")),
    }


@pytest.mark.parametrize(("pair", "samples"), [((), 0), ((2,), 2), ((4, 5), 0)])
def test_without_the_pair_there_is_no_number(pair: tuple[int, ...], samples: int) -> None:
    """Null, never 0, where the run lacks a class or the test set both."""
    assert describe_pair(TARGETS, PREDICTIONS, PHOTOS, pair) == {
        "ambiguous_f1": None,
        "ambiguous_samples": samples,
        "ambiguous_top1": None,
        "ambiguous_top1_interval": None,
    }


def test_tables_hold_every_class_and_every_cell(tmp_path: Path) -> None:
    """Classes in order with their names, cells that add up to the samples, the worst confusions by name."""
    write_tables(TARGETS, PREDICTIONS, (*NAMES, "okra"), tmp_path, limit=2)
    per_class = rows_of(tmp_path / "per_class.csv")
    assert [row["category"] for row in per_class] == [*NAMES, "okra"]
    assert per_class[2] == {
        "target": "2",
        "category": "ketchup",
        "support": "2",
        "predicted": "2",
        "precision": "0.5",
        "recall": "0.5",
        "f1": "0.5",
    }
    assert per_class[4]["f1"] == "0.0"
    cells = rows_of(tmp_path / "confusion.csv")
    assert list(cells[0]) == ["target", "prediction", "count"]
    assert sum(int(cell["count"]) for cell in cells) == 8
    worst = rows_of(tmp_path / "top_confusions.csv")
    assert [(row["category"], row["predicted_category"], row["count"], row["share"]) for row in worst] == [
        ("bread", "ketchup", "1", "0.5"),
        ("ketchup", "chili paste", "1", "0.5"),
    ]


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
@settings(max_examples=60)
def test_the_order_of_samples_changes_no_number(seed: int, samples: int) -> None:
    """Whatever the shards are cut into and workers return first; six decimals hide what rounding sums differently."""
    random = np.random.default_rng(seed)
    targets, predictions = random.integers(0, 5, (2, samples))
    confidences, order = random.random((samples, 2)), random.permutation(samples)
    photos = random.integers(0, 9, samples).astype(str)

    def described(rows: np.ndarray) -> dict[object, object]:
        of_photos, answers = photos[rows].tolist(), (targets[rows], predictions[rows])
        whole = describe_run(*answers, confidences[rows], of_photos, classes=5, ece_bins=10)
        return flat(whole | describe_pair(*answers, of_photos, (2, 3)))

    assert described(order) == pytest.approx(described(np.arange(samples)), abs=2e-6)


def flat(numbers: dict[str, object]) -> dict[object, object]:
    """Return the numbers with the ends of intervals one by one."""
    ends = {(key, i): end for key, ends in numbers.items() if isinstance(ends, list) for i, end in enumerate(ends)}
    return {key: value for key, value in numbers.items() if not isinstance(value, list)} | ends


@pytest.mark.parametrize("targets", [[], [2], [2, 2, 2]])
def test_degenerate_sets_have_every_number(targets: list[int], tmp_path: Path) -> None:
    """No sample, one sample, one class: nothing divides by nothing, and no NaN gets into metrics.json."""
    labels = np.array(targets, np.int64)
    numbers = describe_run(labels, labels, np.ones((len(labels), 2)), ["a"] * len(labels), classes=5, ece_bins=10)
    json.dumps(numbers | describe_pair(labels, labels, ["a"] * len(labels), (2, 3)), allow_nan=False)
    assert numbers["samples"] == len(targets)
    write_tables(labels, labels, (*NAMES, "okra"), tmp_path, limit=2)
    assert len(rows_of(tmp_path / "per_class.csv")) == 5
