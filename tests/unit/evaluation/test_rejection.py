"""The confidence below which an answer counts as no known food."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.predictions import VALIDATION, PredictionWriter
from pipeline.evaluation.rejection import MIN_ACCEPTED, choose_threshold, read_rejection


@pytest.mark.parametrize("asked", [0.5, 0.7, 0.9])
def test_the_threshold_is_the_least_that_reaches_the_precision(asked: float) -> None:
    """Compared with every confidence that occurs, ties among them, in any order of the samples."""
    generator = np.random.default_rng(0)
    confidences = generator.integers(1, 40, 300) / 40
    right = generator.random(300) < confidences
    chosen = choose_threshold(confidences, right, asked)
    precisions = {t: right[confidences >= t].mean() for t in confidences if (confidences >= t).sum() >= MIN_ACCEPTED}
    assert chosen.threshold == min(t for t, precision in precisions.items() if precision >= asked)
    assert chosen.precision == pytest.approx(precisions[chosen.threshold])
    assert chosen.coverage == (confidences >= chosen.threshold).mean()
    assert chosen.accepts(chosen.threshold)
    assert not chosen.accepts(chosen.threshold - 1e-9)
    shuffled = generator.permutation(300)
    assert choose_threshold(confidences[shuffled], right[shuffled], asked) == chosen


def test_where_no_threshold_reaches_it_none_is_made_up() -> None:
    """The sentence has the most that can be had; a few right answers at the top prove nothing."""
    confidences = np.linspace(1, 0, 100)
    right = np.arange(100) % 2 == 0
    right[: MIN_ACCEPTED // 2] = True
    chosen = choose_threshold(confidences, right, 0.9)
    assert (chosen.threshold, chosen.accepts(1.0)) == (None, None)
    assert chosen.precision == max(right[:accepted].mean() for accepted in range(MIN_ACCEPTED, 101))
    assert "no confidence makes 90 % of the answers right; at most 76.2 %" in chosen.sentence
    for few in (0, MIN_ACCEPTED - 1):
        chosen = choose_threshold(confidences[:few], right[:few], 0.5)
        assert (chosen.threshold, chosen.precision, chosen.samples) == (None, None, few)
        assert "are too few" in chosen.sentence


def test_it_is_read_from_the_run_s_own_validation_predictions(tmp_path: Path) -> None:
    """With calibrated confidences; a run without a validation split has none."""
    assert read_rejection(tmp_path, 1.5) is None
    logits = np.zeros((40, 2), np.float32)
    logits[:, 0] = np.linspace(4, 0.1, 40)
    targets = np.repeat([0, 1], [30, 10])
    writer = PredictionWriter(tmp_path / VALIDATION, run="tiny+none-all", class_names=("bread", "sauce"))
    writer.write([f"train/{i}/1" for i in range(40)], targets, logits.argmax(1), logits)
    writer.close()
    chosen = read_rejection(tmp_path, 2.0, 1.0)
    assert chosen is not None
    assert chosen.threshold == pytest.approx(1 / (1 + np.exp(-logits[29, 0] / 2)))
    assert chosen.coverage == 0.75
