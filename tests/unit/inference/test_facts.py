"""What is said of a run: its data set, its test score, and when it is silent."""

import json
from pathlib import Path

import pytest

from pipeline.evaluation.rejection import Rejection
from pipeline.inference.facts import RunFacts
from pipeline.inference.predictor import open_run
from pipeline.models.artifact import RunCard, TrainedOn
from pipeline.params.stages import EvaluateParams
from pipeline.steps.evaluate import evaluate
from tests.small_run import random_batch, run_card, write_small_run, write_small_shards


def card_of(data_set: str | None) -> RunCard:
    """Return the card of a run that was trained on a data set."""
    card = run_card(("roi",))
    numbers = None if data_set is None else TrainedOn(photos=300, samples=1000, categories=18)
    return card.model_copy(
        update={"train": card.train.model_copy(update={"data_set": data_set}), "trained_on": numbers}
    )


def test_a_run_of_the_demo_knows_drawings_only() -> None:
    """It alone: a run on photos has no caution, and one of an earlier version says that it does not know."""
    demo, photos, old = (RunFacts(card_of(name), None, None) for name in ("demo", "FoodSeg103-900", None))
    assert demo.training == "Trained on demo: 1,000 samples of 18 foods in 300 drawings."
    assert "drawings only" in demo.caution
    assert photos.training == "Trained on FoodSeg103-900: 1,000 samples of 18 foods in 300 photos."
    assert photos.caution == old.caution == ""
    assert "does not say" in old.training


def test_what_is_not_known_is_said() -> None:
    """Without an evaluation, and without a validation split to choose a threshold on."""
    facts = RunFacts(card_of("demo"), None, None)
    assert "is not known" in facts.testing
    assert "every region gets a name" in facts.rejecting
    rejection = Rejection(asked=0.8, threshold=0.6, precision=0.8, coverage=0.5, samples=100)
    assert RunFacts(card_of("demo"), None, rejection).rejecting.startswith("From a confidence of 60.0 % on")


@pytest.mark.parametrize("place", ["data/runs/run", "data/evaluations/run", "elsewhere"])
def test_a_score_is_that_of_the_weights_themselves(tmp_path: Path, place: str) -> None:
    """In the run's folder or where the graph has it; the evaluation of other weights of that name tells nothing."""
    run = write_small_run(tmp_path / "data/runs/run", ("roi",))
    folder, shards = tmp_path / place, write_small_shards(tmp_path / "shards", [random_batch(20)])
    params = EvaluateParams(batch_size=8, threads=1, ece_bins=5, top_confusions=3)
    evaluate(params, shards=shards, run=run, output=folder, device="cpu")
    opened = open_run(run, device="cpu")
    if place == "elsewhere":
        assert opened.score is None
        return
    metrics = json.loads((folder / "metrics.json").read_bytes())
    assert opened.score is not None
    low, high = metrics["top1_interval"]
    share, interval = f"{100 * metrics['top1']:.1f} %", f"{100 * low:.1f} to {100 * high:.1f} %"
    assert opened.facts.testing == f"Right on {share} of 20 test samples (95 % interval {interval})."
    (folder / "metrics.json").write_text(json.dumps(metrics | {"weights_sha256": "0" * 64}))
    assert open_run(run, device="cpu").score is None
