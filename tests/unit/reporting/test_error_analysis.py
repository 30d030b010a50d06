"""Calibration, confusions and their order, and scores by category and run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.metrics import expected_calibration_error
from pipeline.evaluation.predictions import PredictionTable
from pipeline.reporting.error_analysis import (
    STEPS,
    CategoryScore,
    ErrorAnalysis,
    analyse_errors,
    confusion_chart,
    f1_matrix,
    seriate,
    step_of,
)

NAMES = ("egg", "ketchup", "<rice>")


def analysis(temperature: float = 1.0) -> ErrorAnalysis:
    """Analyse five samples: ketchup is taken for egg twice, rice for ketchup once."""
    targets, predictions = np.array([0, 1, 1, 2, 2]), np.array([0, 0, 0, 2, 1])
    logits = np.where(np.eye(3)[predictions] > 0, 2.0, 0.0).astype(np.float32)
    ids = tuple(f"test/a/{row}" for row in range(5))
    table = PredictionTable(NAMES, ids, ("test/a",) * 5, targets, predictions, logits)
    return analyse_errors(table, temperature=temperature, bins=4, limit=5)


def test_confused_pairs_come_largest_first() -> None:
    """With their share of the category."""
    assert [tuple(pair) for pair in analysis().confused] == [("ketchup", "egg", 2, 1.0), ("<rice>", "ketchup", 1, 0.5)]


def test_scores_of_a_category_are_the_hand_computed_ones() -> None:
    """Egg: 1 sample, 3 predicted, 1 correct."""
    assert tuple(analysis().categories[0]) == pytest.approx(("egg", 1, 3, 1 / 3, 1.0, 0.5))


def test_calibration_counts_every_sample_once() -> None:
    """Confidence e^2 / (e^2 + 2) = 0.787 for all, 2 of 5 right: one bin, error 0.387."""
    found = analysis()
    assert found.calibration.samples.tolist() == [0, 0, 0, 5]
    assert expected_calibration_error(found.calibration) == pytest.approx(np.exp(2) / (np.exp(2) + 2) - 0.4)


def test_the_run_is_as_sure_of_itself_as_its_temperature_says() -> None:
    """At 4, the confidence is e^0.5 / (e^0.5 + 2) = 0.452, which is hardly more than the 2 of 5 that are right."""
    found = analysis(4.0)
    assert found.calibration.samples.tolist() == [0, 5, 0, 0]
    assert expected_calibration_error(found.calibration) == pytest.approx(np.exp(0.5) / (np.exp(0.5) + 2) - 0.4)


@given(st.integers(1, 12), st.integers(0, 10_000))
def test_an_order_holds_every_class_once(classes: int, seed: int) -> None:
    """Whatever is confused with what."""
    confusions = np.random.default_rng(seed).poisson(0.4, (classes, classes))
    assert sorted(seriate(confusions)) == list(range(classes))


def test_confused_classes_stand_side_by_side() -> None:
    """0 with 3, 1 with 4; 2 with none, so it comes last."""
    confusions = np.zeros((5, 5), np.int64)
    confusions[0, 3], confusions[4, 1], confusions[2, 2] = 9, 5, 50
    assert seriate(confusions) == (0, 3, 1, 4, 2)


def test_right_answers_do_not_matter_for_the_order() -> None:
    """The diagonal says nothing about which classes are alike; the matrix itself stays as it was."""
    confusions = np.array([[90, 1, 0], [0, 80, 0], [0, 0, 70]])
    assert seriate(confusions) == (0, 1, 2)
    assert confusions.trace() == 240


def test_the_matrix_is_labelled_and_escaped() -> None:
    """Names come from a file of the data set; each stands at its row and at its column."""
    chart = confusion_chart(analysis(), ("egg", "steak", "<rice>", "ketchup"), title="ViT")
    assert chart.count("&lt;rice&gt;</text>") == 2
    assert "steak" not in chart
    assert "<rice>" not in chart
    assert "most confused: ketchup as egg 2" in chart


def category_score(name: str, samples: int, f1: float) -> CategoryScore:
    """Return the scores of a category under a run."""
    return CategoryScore(name, samples, samples, f1, f1, f1)


def test_the_pair_is_on_top_and_the_rest_in_order() -> None:
    """The rows the study is about come first."""
    rows = f1_matrix({"a": ()}, ["rice", "ketchup", "egg", "chili paste"], ["chili paste", "ketchup"])
    assert [row.category for row in rows] == ["ketchup", "chili paste", "rice", "egg"]
    assert [row.ambiguous for row in rows] == [True, True, False, False]


@pytest.mark.parametrize(("f1", "step"), [(0.0, 0), (0.0999, 0), (0.1, 1), (0.95, 9), (1.0, STEPS - 1)])
def test_a_score_falls_into_its_tenth(f1: float, step: int) -> None:
    """The best score has no colour beyond the last."""
    assert f1_matrix({"a": [category_score("rice", 4, f1)]}, ["rice"], [])[0].f1 == (f1,)
    assert step_of(f1) == step


def test_what_a_run_does_not_know_stays_empty() -> None:
    """Neither a missing category nor one without test samples is a zero."""
    scores = {"a": [category_score("sauce", 3, 0.5)], "b": (), "c": [category_score("sauce", 0, 0.0)]}
    (row,) = f1_matrix(scores, ["sauce"], [])
    assert row.f1 == (0.5, None, None)
    assert row.samples == 3
