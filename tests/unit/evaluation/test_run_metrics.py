"""Numbers and tables of one run."""

import csv
from pathlib import Path

import numpy as np
import pytest

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
