"""What frozen features say of the released pairing."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tools.frozen_pairing import FOLDS, answers, folds_of, kernel_of, ridge_scores


def test_scores_are_those_of_a_ridge_regression() -> None:
    """Beside scikit-learn's, on centred features and one-hot targets."""
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(40, 7)).astype(np.float32), rng.integers(0, 3, 40)
    fitted, centred = np.arange(30), features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    kernel = kernel_of(features)
    strength = 0.5 * np.trace(kernel[:30, :30]) / 30
    onehot = np.eye(3)[targets[:30]]
    # Ridge's own intercept would centre the fitted part anew.
    other = Ridge(alpha=strength, fit_intercept=False).fit(centred[:30], onehot - onehot.mean(axis=0))
    expected = other.predict(centred) + onehot.mean(axis=0)
    np.testing.assert_allclose(ridge_scores(kernel, targets, fitted, 0.5), expected, atol=1e-5)


def test_no_photo_is_in_two_folds() -> None:
    """Samples of one photo are alike: a photo that is fitted on would be tested on itself."""
    photos = [f"p{row // 3}" for row in range(60)]
    fold = folds_of(photos, FOLDS, np.random.default_rng(1))
    assert {len(set(fold[start : start + 3])) for start in range(0, 60, 3)} == {1}
    assert np.bincount(fold).tolist() == [15] * FOLDS


@pytest.mark.parametrize("told", [True, False])
def test_what_features_tell_is_found_and_nothing_else(*, told: bool) -> None:
    """Features that hold the class give all answers, noise gives what chance does."""
    rng = np.random.default_rng(2)
    targets = np.tile(np.arange(4), 25)
    features = rng.normal(size=(100, 16)) + (20 * np.eye(4, 16)[targets] if told else 0)
    right = answers(kernel_of(features.astype(np.float32)), targets, [f"p{row}" for row in range(100)], seed=0)
    assert right.mean() == 1 if told else right.mean() < 0.45
