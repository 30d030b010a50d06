"""The verdict on section 3.1 follows its rule, whichever way it falls."""

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import Interval
from pipeline.evaluation.mask_agreement import compare_sources, within
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.masks import TransferParams
from pipeline.runtime.errors import EvaluationError

PARAMS = TransferParams(top1_margin=0.01, macro_f1_margin=0.01, seed=0)
SAMPLES = 600


def table(predictions: np.ndarray) -> PredictionTable:
    """Return answers to samples of four classes, three samples a photo."""
    targets = np.arange(SAMPLES) % 4
    return PredictionTable(
        class_names=("a", "b", "c", "d"),
        sample_ids=tuple(f"test/{i // 3:04d}/{i % 3}" for i in range(SAMPLES)),
        photo_ids=tuple(f"test/{i // 3:04d}" for i in range(SAMPLES)),
        targets=targets,
        predictions=predictions,
        logits=np.zeros((SAMPLES, 4), np.float32),
    )


def with_errors(share: float, seed: int = 0) -> np.ndarray:
    """Return answers of which about that share is wrong."""
    targets = np.arange(SAMPLES) % 4
    wrong = np.random.default_rng(seed).random(SAMPLES) < share
    return np.where(wrong, (targets + 1) % 4, targets)


def test_equal_answers_are_ignorable() -> None:
    """No change, no width."""
    found = compare_sources("vit+vit-all", table(with_errors(0.3)), table(with_errors(0.3)), PARAMS)
    assert found.ignorable
    assert (found.top1_change.value, found.top1_change.low, found.top1_change.high) == (0, 0, 0)
    assert (found.samples, found.photos) == (SAMPLES, SAMPLES // 3)


def test_a_clear_loss_is_not_ignorable() -> None:
    """Both numbers fall by what was taken away."""
    found = compare_sources("vit+vit-all", table(with_errors(0.0)), table(with_errors(0.2)), PARAMS)
    assert not found.ignorable
    assert found.top1_change.value == pytest.approx(found.top1[1] - found.top1[0], abs=1e-6)
    assert found.top1_change.high < -0.1
    assert found.macro_f1_change.value < -0.1


def test_an_uncertain_change_is_not_ignorable() -> None:
    """As many gains as losses: the mean is near zero, but its interval is wider than the margin."""
    found = compare_sources("vit+vit-all", table(with_errors(0.2, 1)), table(with_errors(0.2, 2)), PARAMS)
    assert abs(found.top1_change.value) < 0.03
    assert not found.ignorable


def test_both_scores_have_to_stay() -> None:
    """A rare class that is lost moves macro F1, not top-1: not ignorable."""
    targets = np.where(np.arange(SAMPLES) < 4, 3, np.arange(SAMPLES) % 3)
    reference, other = table(targets), table(np.where(targets == 3, 0, targets))
    reference, other = (
        PredictionTable(t.class_names, t.sample_ids, t.photo_ids, targets, t.predictions, t.logits)
        for t in (reference, other)
    )
    found = compare_sources("vit+vit-all", reference, other, PARAMS.model_copy(update={"top1_margin": 0.05}))
    assert within(Interval(*found.top1_change.model_dump().values()), 0.05)
    assert not found.ignorable


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.01, 0.01, True), (-0.0101, 0.0, False), (0.0, 0.0101, False), (0.02, 0.03, False), (0.0, 0.0, True)],
)
def test_the_whole_interval_has_to_lie_within(low: float, high: float, expected: bool) -> None:
    """Ends on the margin count as within."""
    assert within(Interval((low + high) / 2, low, high), 0.01) == expected


def test_other_samples_cannot_be_paired() -> None:
    """A difference needs the same samples."""
    with pytest.raises(EvaluationError, match="same samples"):
        compare_sources("a", table(with_errors(0.1)), table(with_errors(0.1)).select({"test/0000/0"}), PARAMS)


def test_rows_of_some_samples_stay_together() -> None:
    """Every column is cut alike."""
    whole = table(with_errors(0.5))
    some = whole.select({"test/0001/2", "test/0000/1", "elsewhere"})
    assert some.sample_ids == ("test/0000/1", "test/0001/2")
    assert some.photo_ids == ("test/0000", "test/0001")
    assert some.targets.tolist() == [1, 1]
    assert some.predictions.tolist() == whole.predictions[[1, 5]].tolist()
