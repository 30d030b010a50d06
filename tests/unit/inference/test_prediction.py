"""What a run says about a region."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.inference.prediction import Prediction, softmax

LOGITS = arrays(np.float32, 6, elements=st.floats(-1e4, 1e4, width=32))
TEMPERATURES = st.floats(0.01, 100)


def prediction(logits: np.ndarray, temperature: float = 1.0) -> Prediction:
    """Return a prediction without a picture worth the name."""
    view = np.zeros((4, 4, 3), np.uint8)
    return Prediction(tuple("abcdef"), logits, temperature, view[..., 0] == 0, view, view)


@given(LOGITS, TEMPERATURES)
def test_probabilities_are_the_softmax_of_the_divided_logits(logits: np.ndarray, temperature: float) -> None:
    """Against PyTorch in double precision; large logits do not overflow."""
    expected = (torch.from_numpy(logits).double() / temperature).softmax(dim=0).numpy()
    np.testing.assert_allclose(softmax(logits, temperature), expected, rtol=1e-9, atol=1e-300)
    assert abs(softmax(logits, temperature).sum() - 1) < 1e-12


@given(LOGITS, TEMPERATURES)
def test_calibration_never_changes_the_order(logits: np.ndarray, temperature: float) -> None:
    """It says how sure, not what."""
    names = [guess.category for guess in prediction(logits, temperature).top(6)]
    assert names == [guess.category for guess in prediction(logits).top(6)]
    assert names[0] == "abcdef"[int(logits.argmax())]


def test_equal_logits_come_in_the_order_of_the_classes() -> None:
    """As `evaluate` breaks ties."""
    assert [guess.category for guess in prediction(np.float32([1, 3, 3, 0, 3, 2])).top(4)] == ["b", "c", "e", "f"]


def test_more_categories_than_there_are_is_all_of_them() -> None:
    """Best first, and together certain."""
    guesses = prediction(np.float32([0, 1, 2, 3, 4, 5])).top(99)
    assert [guess.category for guess in guesses] == list("fedcba")
    assert abs(sum(guess.probability for guess in guesses) - 1) < 1e-12
