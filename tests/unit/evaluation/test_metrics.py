"""Metrics: hand-computed cases, references, and the conventions at the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from pipeline.evaluation.metrics import (
    CONVENTIONS,
    confusion,
    count_classes,
    expected_calibration_error,
    macro_f1,
    macro_f1_all,
    majority_rate,
    pair_f1,
    reliability,
    score_classes,
    top1,
    top_confusions,
)

CLASSES = 6
EMPTY = np.empty(0, np.int64)


def labels(values: list[int]) -> np.ndarray:
    """Return class indices as the library's type."""
    return np.array(values, np.int64)


LABELLED = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*(arrays(np.int64, n, elements=st.integers(0, CLASSES - 1)) for _ in range(2)))
)


def test_a_hand_computed_case() -> None:
    """Class 0: TP 2, FP 1, FN 0, F1 4/5; class 1: TP 0, FN 1, F1 0; class 2: TP 1, F1 1; class 3 nowhere."""
    targets, predictions = labels([0, 0, 1, 2]), labels([0, 0, 0, 2])
    scores = score_classes(count_classes(targets, predictions, 4))
    np.testing.assert_allclose(scores.f1, [0.8, 0, 1, 0])
    np.testing.assert_allclose(scores.precision, [2 / 3, 0, 1, 0])
    np.testing.assert_allclose(scores.recall, [1, 0, 1, 0])
    assert top1(targets, predictions) == 0.75
    assert macro_f1(targets, predictions) == pytest.approx(1.8 / 3)
    assert macro_f1_all(targets, predictions, 4) == pytest.approx(1.8 / 4)
    assert majority_rate(targets) == 0.5


def test_table_8_gives_the_f1_it_allows() -> None:
    """35 of 38 ketchup right, 22 of 34 chili paste right, 1 and 9 swapped, the rest elsewhere: at most 0.8128."""
    ketchup, chili_paste, other = 0, 1, 2
    targets = labels([ketchup] * 38 + [chili_paste] * 34)
    predictions = labels(
        [ketchup] * 35 + [chili_paste] + [other] * 2 + [chili_paste] * 22 + [ketchup] * 9 + [other] * 3
    )
    expected = (2 * 35 / (38 + 44) + 2 * 22 / (34 + 23)) / 2
    assert pair_f1(targets, predictions, (ketchup, chili_paste)) == pytest.approx(expected)
    assert expected == pytest.approx(0.8128, abs=5e-5)


@given(LABELLED)
def test_macro_f1_equals_scikit_learn_over_present_classes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Its default averages over the labels of either array, as the paper does."""
    expected = f1_score(*pair, average="macro", zero_division=0)
    assert macro_f1(*pair) == pytest.approx(expected, abs=1e-12)


@given(LABELLED)
def test_macro_f1_all_equals_scikit_learn_over_all_labels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Absent classes count as 0."""
    expected = f1_score(*pair, labels=range(CLASSES), average="macro", zero_division=0)
    assert macro_f1_all(*pair, CLASSES) == pytest.approx(expected, abs=1e-12)


@given(LABELLED, st.permutations(range(CLASSES)))
def test_pair_f1_equals_scikit_learn_over_two_labels(pair: tuple[np.ndarray, np.ndarray], order: list[int]) -> None:
    """Predictions of samples outside the pair count as false positives."""
    expected = f1_score(*pair, labels=order[:2], average="macro", zero_division=0)
    assert pair_f1(*pair, (order[0], order[1])) == pytest.approx(expected, abs=1e-12)


@given(LABELLED)
def test_class_scores_equal_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Precision, recall, F1 and support, class by class."""
    counts = count_classes(*pair, CLASSES)
    precision, recall, f1, support = precision_recall_fscore_support(*pair, labels=range(CLASSES), zero_division=0)
    for ours, theirs in zip(score_classes(counts), (precision, recall, f1), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_array_equal(counts.support, support)


@given(LABELLED)
def test_confusion_cells_are_the_matrix_without_zeros(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Cells are sorted and every one is occupied."""
    cells = confusion(*pair)
    matrix = np.zeros((CLASSES, CLASSES), int)
    matrix[cells.target, cells.prediction] = cells.samples
    np.testing.assert_array_equal(matrix, confusion_matrix(*pair, labels=range(CLASSES)))
    assert (cells.samples > 0).all()
    assert (np.diff(cells.target * CLASSES + cells.prediction) > 0).all()


@given(LABELLED, st.permutations(range(CLASSES)))
def test_renaming_classes_changes_no_score(pair: tuple[np.ndarray, np.ndarray], names: list[int]) -> None:
    """F1 does not depend on which index a class has."""
    targets, predictions = (labels(names)[part] for part in pair)
    assert macro_f1(targets, predictions) == pytest.approx(macro_f1(*pair))
    assert top1(targets, predictions) == top1(*pair)


def test_top_confusions_are_wrong_cells_largest_first() -> None:
    """Ties keep the order of classes, and right predictions are left out."""
    cells = confusion(labels([0, 0, 0, 1, 1, 2, 2, 2]), labels([0, 0, 1, 2, 2, 0, 1, 2]))
    worst = top_confusions(cells, 3)
    listed = list(zip(worst.target.tolist(), worst.prediction.tolist(), worst.samples.tolist(), strict=True))
    assert listed == [(1, 2, 2), (0, 1, 1), (2, 0, 1)]
    assert len(top_confusions(cells, 0).target) == 0
    assert len(top_confusions(cells, 99).target) == 4


def test_calibration_of_a_hand_computed_case() -> None:
    """Two bins: (0, 0.5] holds 0.4 wrong and 0.5 right, (0.5, 1] holds 0.9 right and 1.0 right."""
    table = reliability(np.array([0.4, 0.5, 0.9, 1.0]), np.array([False, True, True, True]), 2)
    np.testing.assert_array_equal(table.samples, [2, 2])
    np.testing.assert_allclose(table.confidence, [0.45, 0.95])
    np.testing.assert_allclose(table.accuracy, [0.5, 1.0])
    assert expected_calibration_error(table) == pytest.approx(0.05)


@given(
    st.integers(1, 50).flatmap(
        lambda n: st.tuples(arrays(np.float64, n, elements=st.floats(0, 1)), arrays(np.bool_, n))
    ),
    st.integers(1, 20),
)
def test_calibration_equals_a_loop_over_bins(samples: tuple[np.ndarray, np.ndarray], bins: int) -> None:
    """A bin (a, b] found by search; zero belongs to the first."""
    confidences, right = samples
    index = [max(int(np.ceil(c * bins)) - 1, 0) for c in confidences]
    expected = sum(
        abs(sum(right[i] - confidences[i] for i in range(len(index)) if index[i] == b)) for b in range(bins)
    ) / len(index)
    assert expected_calibration_error(reliability(confidences, right, bins)) == pytest.approx(expected, abs=1e-9)


def test_an_empty_set_scores_zero() -> None:
    """Nothing divides by zero."""
    assert top1(EMPTY, EMPTY) == 0
    assert macro_f1(EMPTY, EMPTY) == 0
    assert macro_f1_all(EMPTY, EMPTY, 3) == 0
    assert pair_f1(EMPTY, EMPTY, (0, 1)) == 0
    assert majority_rate(EMPTY) == 0
    assert len(confusion(EMPTY, EMPTY).target) == 0
    assert expected_calibration_error(reliability(np.empty(0), np.empty(0, bool), 4)) == 0


def test_a_single_class_set_scores_on_that_class_alone() -> None:
    """One class always right is 1 over present classes, and 1/K over all."""
    ones = labels([1, 1, 1])
    assert macro_f1(ones, ones) == 1
    assert macro_f1_all(ones, ones, 4) == 0.25
    assert pair_f1(ones, ones, (1, 3)) == 0.5


def test_every_number_of_metrics_json_has_its_convention() -> None:
    """A reader of the file finds what each name means."""
    named = {"top1", "macro_f1", "macro_f1_all", "ambiguous_f1", "ambiguous_top1", "ece", "majority_rate"}
    named |= {"top1_interval", "ambiguous_top1_interval", "ece_uncalibrated"}
    assert named <= CONVENTIONS.keys()
