"""Categories by runs."""

import pytest

from pipeline.reporting.error_analysis import STEPS, heat_map
from pipeline.reporting.results import ClassScore


def test_the_pair_is_on_top_and_the_rest_in_order() -> None:
    """The rows the study is about come first."""
    rows = heat_map({"a": {}}, ["rice", "ketchup", "egg", "chili paste"], ["chili paste", "ketchup"])
    assert [row.category for row in rows] == ["ketchup", "chili paste", "rice", "egg"]
    assert [row.ambiguous for row in rows] == [True, True, False, False]


@pytest.mark.parametrize(("f1", "step"), [(0.0, 0), (0.0999, 0), (0.1, 1), (0.95, 9), (1.0, STEPS - 1)])
def test_a_score_falls_into_its_tenth(f1: float, step: int) -> None:
    """The best score has no colour beyond the last."""
    ((cell,),) = (row.cells for row in heat_map({"a": {"rice": ClassScore(f1, 4)}}, ["rice"], []))
    assert cell == (f1, step)


def test_what_a_run_does_not_know_stays_empty() -> None:
    """Neither a missing category nor one without test samples is a zero."""
    scores = {"a": {"sauce": ClassScore(0.5, 3)}, "b": {}, "c": {"sauce": ClassScore(0.0, 0)}}
    (row,) = heat_map(scores, ["sauce"], [])
    assert [cell.f1 for cell in row.cells] == [0.5, None, None]
    assert row.samples == 3
