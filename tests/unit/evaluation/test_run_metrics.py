"""Numbers and tables of one run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.run_metrics import describe_pair, describe_run, write_tables

NAMES = ("bread", "sauce, red", "ketchup", "chili paste")
TARGETS = np.array([0, 0, 2, 2, 3, 3, 3, 1])
PREDICTIONS = np.array([0, 2, 2, 3, 3, 3, 0, 1])


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_whole_set_numbers_of_a_hand_computed_case() -> None:
    """5 of 8 right; F1 of bread 1/2, sauce 1, ketchup 1/2, chili paste 2/3; all right at 0.7 confidence or 0.5 off."""
    numbers = describe_run(TARGETS, PREDICTIONS, np.full(8, 0.7), classes=5, ece_bins=10)
    assert numbers == {
        "samples": 8,
        "top1": 0.625,
        "macro_f1": round((0.5 + 1 + 0.5 + 2 / 3) / 4, 6),
        "macro_f1_all": round((0.5 + 1 + 0.5 + 2 / 3) / 5, 6),
        "ece": 0.075,
        "majority_rate": 0.375,
    }


def test_the_pair_is_judged_on_the_whole_test_set() -> None:
    """Bread taken for ketchup costs ketchup's precision, but is no sample of the pair."""
    assert describe_pair(TARGETS, PREDICTIONS, (2, 3)) == {
        "ambiguous_f1": round((0.5 + 2 / 3) / 2, 6),
        "ambiguous_samples": 5,
        "ambiguous_top1": 0.6,
    }


@pytest.mark.parametrize(("pair", "samples"), [((), 0), ((2,), 2), ((4, 5), 0)])
def test_without_the_pair_there_is_no_number(pair: tuple[int, ...], samples: int) -> None:
    """Null, never 0, where the run lacks a class or the test set both."""
    assert describe_pair(TARGETS, PREDICTIONS, pair) == {
        "ambiguous_f1": None,
        "ambiguous_samples": samples,
        "ambiguous_top1": None,
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
    confidences, order = random.random(samples), random.permutation(samples)
    plain = describe_run(targets, predictions, confidences, classes=5, ece_bins=10)
    shuffled = describe_run(targets[order], predictions[order], confidences[order], classes=5, ece_bins=10)
    assert shuffled == pytest.approx(plain, abs=2e-6)
    pair = describe_pair(targets, predictions, (2, 3))
    assert describe_pair(targets[order], predictions[order], (2, 3)) == pytest.approx(pair, abs=2e-6)


@pytest.mark.parametrize("targets", [[], [2], [2, 2, 2]])
def test_degenerate_sets_have_every_number(targets: list[int], tmp_path: Path) -> None:
    """No sample, one sample, one class: nothing divides by nothing, and no NaN gets into metrics.json."""
    labels = np.array(targets, np.int64)
    numbers = describe_run(labels, labels, np.ones(len(labels)), classes=5, ece_bins=10)
    json.dumps(numbers | describe_pair(labels, labels, (2, 3)), allow_nan=False)
    assert numbers["samples"] == len(targets)
    write_tables(labels, labels, (*NAMES, "okra"), tmp_path, limit=2)
    assert len(rows_of(tmp_path / "per_class.csv")) == 5
