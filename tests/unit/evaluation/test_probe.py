"""Laws of the probe: its ridge is scikit-learn's, its folds are of photos, and no order changes a prediction."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge as PlainRidge
from sklearn.linear_model import RidgeClassifier

from pipeline.evaluation import probe
from pipeline.evaluation.bootstrap import Bootstrap, StoredInterval, holm
from pipeline.evaluation.probe import (
    STRENGTHS,
    HeldOut,
    ProbeSummary,
    assign_folds,
    fit_ridge,
    other_rows,
    predict_held_out,
    probe_views,
    read_probe,
    same_food_rows,
    score_rows,
)
from pipeline.runtime.errors import EvaluationError, ManifestError

PHOTOS = np.repeat(np.arange(20), np.resize([1, 2, 3, 4], 20))
"""Photo of each of 50 samples."""
CLASSES = 4


def samples(width: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features of samples of `PHOTOS` that depend on class and photo, and the classes."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(CLASSES, size=len(PHOTOS))
    centres, of_photo = generator.normal(size=(CLASSES, width)), generator.normal(size=(20, width))
    features = centres[targets] + of_photo[PHOTOS] + 3 * generator.normal(size=(len(PHOTOS), width)) + 5
    return features, targets


def alpha_of(features: np.ndarray, strength: float) -> float:
    """Return scikit-learn's alpha for a strength: a share of the mean squared length of centred features."""
    return float(strength * np.square(features - features.mean(axis=0)).sum(axis=1).mean())


@pytest.mark.parametrize("width", [7, 90], ids=["more samples than features", "more features than samples"])
def test_the_classifier_is_scikit_learns(width: int) -> None:
    """Scores are those of its Ridge on one-hot targets, decisions those of its RidgeClassifier."""
    features, targets = samples(width)
    ridge = fit_ridge(features, targets, PHOTOS, classes=CLASSES)
    alpha = alpha_of(features, ridge.strength)
    new = samples(width, seed=1)[0]
    expected = PlainRidge(alpha=alpha).fit(features, np.eye(CLASSES)[targets]).predict(new)
    np.testing.assert_allclose(ridge.scores(new), expected, atol=1e-9)
    decisions = RidgeClassifier(alpha=alpha).fit(features, targets).predict(new)
    np.testing.assert_array_equal(ridge.scores(new).argmax(axis=1), decisions)


@pytest.mark.parametrize("width", [7, 90])
@pytest.mark.parametrize("seed", range(4))
def test_the_strength_is_that_of_fits_without_each_photo(width: int, seed: int) -> None:
    """The shortcut counts what 20 fits of scikit-learn for each strength count, each without a photo."""
    features, targets = samples(width, seed=seed)
    correct = dict.fromkeys(STRENGTHS, 0)
    for strength in STRENGTHS:
        for photo in range(20):
            kept, left_out = photo != PHOTOS, photo == PHOTOS
            plain = PlainRidge(alpha=alpha_of(features, strength)).fit(features[kept], np.eye(CLASSES)[targets[kept]])
            correct[strength] += int((plain.predict(features[left_out]).argmax(axis=1) == targets[left_out]).sum())
    best = max(STRENGTHS, key=lambda strength: (correct[strength], strength))
    assert fit_ridge(features, targets, PHOTOS, classes=CLASSES).strength == best


def test_features_without_information_give_the_most_frequent_class() -> None:
    """Constant features, such as the zeros outside of masks that cover all photos, are no error."""
    targets = np.where(np.arange(len(PHOTOS)) % 3, 2, 1)
    ridge = fit_ridge(np.full((len(PHOTOS), 6), 3.0), targets, PHOTOS, classes=CLASSES)
    np.testing.assert_allclose(ridge.scores(np.ones((2, 6)))[0], np.bincount(targets, minlength=CLASSES) / len(targets))


@pytest.mark.parametrize("folds", [2, 5])
def test_every_photo_is_in_one_fold_and_folds_are_alike(folds: int) -> None:
    """Whatever splits the data set has."""
    fold = assign_folds(PHOTOS, ["train"] * len(PHOTOS), folds=folds, seed=3)
    of_photo = [set(fold[photo == PHOTOS].tolist()) for photo in range(20)]
    assert all(len(found) == 1 for found in of_photo)
    assert np.bincount([found.pop() for found in of_photo]).tolist() == [20 // folds] * folds


def test_without_folds_the_test_split_is_tested() -> None:
    """The train split is fold -1, which nobody tests."""
    splits = np.where(PHOTOS < 12, "train", "test")
    assert assign_folds(PHOTOS, splits.tolist(), folds=0, seed=0).tolist() == np.where(PHOTOS < 12, -1, 0).tolist()
    features, targets = samples(7)
    fold = assign_folds(PHOTOS, splits.tolist(), folds=0, seed=0)
    held = predict_held_out(features.astype(np.float32), targets, PHOTOS, fold, classes=CLASSES)
    np.testing.assert_array_equal(held.predictions == -1, fold == -1)


@pytest.mark.parametrize(("folds", "photos"), [(5, 4), (2, 3), (0, 2)])
def test_too_few_photos_are_refused(folds: int, photos: int) -> None:
    """A strength cannot be chosen by leaving out the only photo."""
    few = np.arange(photos)
    with pytest.raises(EvaluationError, match=r"probe\.folds \d needs"):
        assign_folds(few, ["train"] + ["test"] * (photos - 1), folds=folds, seed=0)


def test_a_photo_that_both_splits_have_is_not_trained_on() -> None:
    """Labels of the tested photo's twin do not reach its classifier."""
    features, targets = samples(7)
    fold = np.where(PHOTOS >= 12, 0, -1)
    fold[np.flatnonzero(PHOTOS == 19)[0]] = -1  # one sample of photo 19 came in with the train split
    held = [
        predict_held_out(features.astype(np.float32), changed, PHOTOS, fold, classes=CLASSES).predictions
        for changed in (targets, np.where((PHOTOS == 19) & (fold == -1), (targets + 1) % CLASSES, targets))
    ]
    np.testing.assert_array_equal(*held)


def test_another_photos_sample_is_of_another_photo_whatever_the_order() -> None:
    """Every sample gets one, and the same one when rows come in another order."""
    targets = np.concatenate([np.arange(size) for size in np.bincount(PHOTOS)])
    others = other_rows(PHOTOS, targets, seed=1)
    assert (PHOTOS[others] != PHOTOS).all()
    order = np.random.default_rng(0).permutation(len(PHOTOS))
    np.testing.assert_array_equal(order[other_rows(PHOTOS[order], targets[order], seed=1)], others[order])


def test_the_same_food_in_another_photo_is_of_the_same_fold_whatever_the_order() -> None:
    """So no tested photo's features are trained on; who has no partner is alone with its food in its fold."""
    targets = np.concatenate([np.arange(size) for size in np.bincount(PHOTOS)])
    fold = assign_folds(PHOTOS, ["train"] * len(PHOTOS), folds=5, seed=0)
    partners = same_food_rows(PHOTOS, targets, fold, seed=1)
    found = partners >= 0
    assert found.any()
    assert not found.all()
    assert (PHOTOS[partners[found]] != PHOTOS[found]).all()
    np.testing.assert_array_equal(targets[partners[found]], targets[found])
    np.testing.assert_array_equal(fold[partners[found]], fold[found])
    for row in np.flatnonzero(~found):
        alike = (targets == targets[row]) & (fold == fold[row])
        assert set(PHOTOS[alike]) == {PHOTOS[row]}
    order = np.random.default_rng(0).permutation(len(PHOTOS))
    moved = same_food_rows(PHOTOS[order], targets[order], fold[order], seed=1)
    np.testing.assert_array_equal(np.where(moved < 0, -1, order[moved]), partners[order])


def test_the_control_tells_a_foods_usual_surroundings_from_those_of_this_photo() -> None:
    """Surroundings that depend on the food alone help as much when they are another photo's of the same food.

    Those of any other photo do not help.
    """
    generator, photos = np.random.default_rng(0), np.repeat(np.arange(120), 2)
    targets = generator.integers(CLASSES, size=len(photos))
    usual, noise = np.eye(CLASSES)[targets], generator.normal(size=(3, len(photos), CLASSES))
    views = {name: noise[0].astype(np.float32) for name in ("roi", "whole", "context", "inside", "outside")}
    views["extra_roi"] = (3 * usual + noise[1]).astype(np.float32)
    fold = assign_folds(photos, ["train"] * len(photos), folds=5, seed=0)
    found = probe_views(views, targets, photos, fold, seed=0)
    own, same, other = (
        (found["roi", name].predictions == targets).mean() for name in ("extra_roi", probe.SAME_FOOD, probe.OTHER)
    )
    assert own > 0.85
    assert same > 0.85
    assert other < 0.5


def test_the_order_of_samples_changes_no_prediction() -> None:
    """Folds, strengths and classes are those of the photos."""
    targets = np.concatenate([np.arange(size) for size in np.bincount(PHOTOS)])
    generator = np.random.default_rng(0)
    views = {
        name: (np.eye(8)[targets] + generator.normal(size=(len(PHOTOS), 8))).astype(np.float32)
        for name in ("roi", "extra_roi", "whole", "context", "inside", "outside")
    }
    order = np.random.default_rng(1).permutation(len(PHOTOS))
    fold = assign_folds(PHOTOS, ["train"] * len(PHOTOS), folds=5, seed=0)
    plain = probe_views(views, targets, PHOTOS, fold, seed=0)
    moved = {name: features[order] for name, features in views.items()}
    turned = probe_views(moved, targets[order], PHOTOS[order], fold[order], seed=0)
    assert list(plain) == list(probe.FEATURE_SETS)
    for name, held in plain.items():
        np.testing.assert_array_equal(turned[name].predictions, held.predictions[order])
        assert turned[name].strengths == held.strengths


def test_gains_are_over_the_roi_on_the_same_photos() -> None:
    """More right answers are a gain that chance hardly gives; the same answers are none."""
    generator = np.random.default_rng(0)
    targets = generator.integers(CLASSES, size=len(PHOTOS))
    wrong = np.where(np.arange(len(PHOTOS)) % 2, targets, (targets + 1) % CLASSES)
    found = {
        name: HeldOut(held, (0.1,), 3)
        for name, held in {("roi",): wrong, ("whole",): targets, ("outside",): wrong}.items()
    }
    roi, whole, outside = score_rows(found, targets, PHOTOS, Bootstrap(0))
    assert (roi.top1.value, whole.top1.value, roi.gain_top1, roi.p_top1) == (0.5, 1, None, None)
    assert whole.gain_top1 is not None
    assert outside.gain_top1 is not None
    assert whole.gain_top1.value == pytest.approx(0.5)
    assert whole.gain_top1.low > 0.3
    assert whole.p_top1 == pytest.approx(2 * 2 / 2001, abs=1e-6)  # the smallest of 2,000 resamples, times two rows
    assert (outside.gain_top1, outside.p_top1) == (StoredInterval(value=0, low=0, high=0), 1)


def test_holms_procedure() -> None:
    """By hand: 0.01 x 4, 0.03 x 3, 0.04 x 2 which may not be less, 0.5; columns on their own."""
    adjusted = holm(np.array([[0.04, 0.5], [0.01, 0.5], [0.5, 0.5], [0.03, 0.01]]))
    np.testing.assert_allclose(adjusted, [[0.09, 1], [0.04, 1], [0.5, 1], [0.09, 0.04]])


def test_a_summary_reads_back(tmp_path: Path) -> None:
    """Intervals included; what is absent or no summary names the command that makes it."""
    found = {name: HeldOut(PHOTOS % CLASSES, (0.1, 1.0), 3) for name in (("roi",), ("whole",))}
    rows = score_rows(found, PHOTOS % CLASSES, PHOTOS, Bootstrap(0))
    summary = ProbeSummary(
        backbone="tiny",
        timm="test_vit",
        weights=None,
        source="annotation",
        image_size=32,
        folds=2,
        photos=20,
        samples=50,
        majority_rate=0.3,
        nothing_outside=0,
        rows=rows,
    )
    summary.write(tmp_path / "probe.json")
    assert read_probe(tmp_path) == summary
    (tmp_path / "probe.json").write_text("{}")
    with pytest.raises(ManifestError, match=r"dvc repro -f probe@"):
        read_probe(tmp_path)
    with pytest.raises(ManifestError, match=r"absent; run `dvc repro probe@"):
        read_probe(tmp_path / "none")
