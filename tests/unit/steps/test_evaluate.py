"""Stage `evaluate` on small shards and an untrained run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.datasets.sample_batch import InputName
from pipeline.evaluation.metrics import CONVENTIONS, macro_f1
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.session import predict_logits
from pipeline.models.artifact import load_run, save_run
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.errors import EvaluationError
from pipeline.steps.evaluate import evaluate
from tests.small_run import CATEGORIES, random_batch, select, write_small_run, write_small_shards

PARAMS = EvaluateParams(batch_size=4, threads=1, ece_bins=5, top_confusions=3)
FILES = {"metrics.json", "predictions.parquet", "per_class.csv", "confusion.csv", "top_confusions.csv"}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Return two shards of 14 and 9 samples."""
    batch = random_batch(23)
    return write_small_shards(tmp_path / "shards", [select(batch, range(14)), select(batch, range(14, 23))])


@pytest.mark.parametrize("branches", [("roi",), ("extra_roi",), ("roi", "extra_roi"), ("photo",)])
def test_every_sample_is_predicted_and_measured(tmp_path: Path, shards: Path, branches: tuple[InputName, ...]) -> None:
    """The table holds the model's logits in the shards' order, and the metrics are those of the table."""
    run = write_small_run(tmp_path / "run", branches)
    evaluate(PARAMS, shards=shards, run=run, output=tmp_path / "out", device="cpu")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    table, batch = read_predictions(tmp_path / "out/predictions.parquet"), random_batch(23)
    model, card = load_run(run, torch.device("cpu"))
    assert table.sample_ids == batch.sample_ids
    assert table.class_names == CATEGORIES
    np.testing.assert_array_equal(table.targets, batch.targets)
    np.testing.assert_allclose(table.logits, predict_logits(model, batch, torch.device("cpu")), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(table.predictions, table.logits.argmax(axis=1))
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["run"], metrics["epoch"], metrics["samples"]) == (card.run, 3, 23)
    assert metrics["macro_f1"] == round(macro_f1(table.targets, table.predictions), 6)
    assert metrics["conventions"] == CONVENTIONS
    assert len(np.unique(table.logits, axis=0)) == 23  # every sample was looked at, not one of them 23 times


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, shards: Path) -> None:
    """Nothing of the time or the folder is in any file."""
    run = write_small_run(tmp_path / "run", ("roi", "extra_roi"))
    for name in ("a", "b"):
        evaluate(PARAMS, shards=shards, run=run, output=tmp_path / name, device="cpu")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_run_without_sauce_is_judged_without_sauce(tmp_path: Path, shards: Path) -> None:
    """Its table has its own three classes, and the pair is still measured."""
    names = ("bread", "ketchup", "chili paste")
    run = write_small_run(tmp_path / "run", ("roi",), class_names=names)
    evaluate(PARAMS, shards=shards, run=run, output=tmp_path / "out", device="cpu")
    table, batch = read_predictions(tmp_path / "out/predictions.parquet"), random_batch(23)
    assert table.class_names == names
    assert [names[t] for t in table.targets] == [CATEGORIES[t] for t in batch.targets if CATEGORIES[t] != "sauce"]
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["ambiguous_samples"] == int((batch.targets >= 2).sum())
    assert metrics["ambiguous_f1"] is not None


def test_a_run_without_the_pair_has_null_for_it(tmp_path: Path, shards: Path) -> None:
    """Not 0, which would read as a failure."""
    run = write_small_run(tmp_path / "run", ("roi",), class_names=("bread", "sauce", "chili paste"))
    evaluate(PARAMS, shards=shards, run=run, output=tmp_path / "out", device="cpu")
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["ambiguous_f1"] is metrics["ambiguous_top1"] is None


def test_a_diverged_run_names_the_first_sample(tmp_path: Path, shards: Path) -> None:
    """Weights that are no numbers give logits that are none."""
    run = write_small_run(tmp_path / "run", ("roi",))
    model, card = load_run(run, torch.device("cpu"))
    with torch.no_grad():
        model.head.bias.fill_(float("nan"))  # type: ignore[union-attr, operator]
    save_run(model, card, run)
    with pytest.raises(EvaluationError, match="test/00000000/1: logits are not finite"):
        evaluate(PARAMS, shards=shards, run=run, output=tmp_path / "out", device="cpu")
