"""From pixels to predictions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.datasets.sample_batch import INPUT_NAMES, InputName
from pipeline.evaluation.metrics import confidences_of
from pipeline.evaluation.session import branches_of, predict_classes, predict_logits
from pipeline.models.artifact import load_run
from pipeline.models.device import to_tensor
from pipeline.runtime.errors import EvaluationError
from tests.small_run import random_batch, write_small_run

CPU = torch.device("cpu")


@pytest.mark.parametrize("branches", [("roi",), ("extra_roi",), ("roi", "extra_roi"), ("photo",)])
def test_features_combined_are_the_model_s_own_logits(tmp_path: Path, branches: tuple[InputName, ...]) -> None:
    """Branch by branch gives what one call gives."""
    model, _ = load_run(write_small_run(tmp_path / "run", branches), CPU)
    batch = random_batch(5)
    with torch.inference_mode():
        expected = model(*(to_tensor(getattr(batch, name)) for name in INPUT_NAMES)).numpy()
    assert tuple(branches_of(model)) == branches
    np.testing.assert_array_equal(predict_logits(model, batch, CPU), expected)


def test_equal_logits_give_the_lowest_class() -> None:
    """The convention of ties."""
    logits = np.array([[1, 2, 2], [0, 0, 0], [3, 1, 3]], np.float32)
    assert predict_classes(logits, ("a", "b", "c")).tolist() == [1, 0, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_names_its_sample(bad: float) -> None:
    """The first such sample, and what to do."""
    logits = np.zeros((4, 3), np.float32)
    logits[2, 1] = logits[3, 0] = bad
    with pytest.raises(EvaluationError, match=r"test/00000002/7: logits are not finite.*train\.learning_rate"):
        predict_classes(logits, tuple(f"test/0000000{i}/7" for i in range(4)))


@given(arrays(np.float32, (3, 5), elements=st.floats(-1e4, 1e4, width=32)), st.floats(0.1, 10))
def test_the_confidence_is_the_softmax_maximum(logits: np.ndarray, temperature: float) -> None:
    """Of the logits over the temperature; large ones do not overflow."""
    expected = (torch.from_numpy(logits).double() / temperature).softmax(dim=1).amax(dim=1).numpy()
    np.testing.assert_allclose(confidences_of(logits, temperature), expected, rtol=1e-9)
