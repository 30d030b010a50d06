"""Predict the test split with one run, and measure the predictions."""

import json
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from pipeline.arrays import Targets
from pipeline.console import progress
from pipeline.datasets.pairing import photo_id_of
from pipeline.evaluation.inference import plain_logits, predict
from pipeline.evaluation.metrics import CONVENTIONS, Predictions, confidences_of
from pipeline.evaluation.predictions import PredictionWriter
from pipeline.evaluation.run_metrics import describe_pair, describe_run, write_tables
from pipeline.evaluation.run_samples import Trial, open_trial
from pipeline.params.analysis import EvaluateParams
from pipeline.stores import Place


class Verdicts(NamedTuple):
    """What stays in memory of every sample: 32 bytes and the name of its photo."""

    targets: Targets
    """True classes."""
    predictions: Predictions
    """Predicted classes."""
    confidences: Float64[np.ndarray, "N 2"]
    """Softmax maximum, calibrated and as the model gives it."""
    photo_ids: np.ndarray
    """`<split>/<photo stem>`."""


def evaluate(params: EvaluateParams, *, shards: Place, run: Path, output: Path, device: str) -> None:
    """Write what one run says about the test split, and how right it is.

    `output` gets `predictions.parquet`, `metrics.json`, `per_class.csv`, `confusion.csv` and `top_confusions.csv`.

    Args:
        params: Section `evaluate`.
        shards: Folder of shards; their masks need not come from where the run's came from.
        run: Folder of the run.
        output: Folder to write.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        EvaluationError: If the shards do not fit the run, have no test sample of its classes, or a logit is not finite.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    trial = open_trial(run, shards, device)
    output.mkdir(parents=True, exist_ok=True)
    verdicts = _judge(trial, params.batch_size, output / "predictions.parquet")
    names = trial.card.class_names
    write_tables(verdicts.targets, verdicts.predictions, names, output, limit=params.top_confusions)
    text = json.dumps(_metrics(trial, verdicts, params.ece_bins), indent=1, allow_nan=False)
    (output / "metrics.json").write_text(text + "\n", encoding="utf-8")


def _judge(trial: Trial, batch_size: int, path: Path) -> Verdicts:
    parts = []
    total, what = trial.batch_count(batch_size), f"evaluate {trial.card.run}"
    with closing(PredictionWriter(path, run=trial.card.run, class_names=trial.card.class_names)) as writer:
        for batch in progress(trial.batches(batch_size), total=total, what=what, unit="batch"):
            logits = plain_logits(trial.model, batch, trial.device)
            predictions = predict(logits, batch.sample_ids)
            writer.write(batch.sample_ids, batch.targets, predictions, logits)
            confidences = np.stack(
                [confidences_of(logits, t) for t in (trial.card.calibration.temperature, 1.0)], axis=1
            )
            photos = np.array([photo_id_of(sample_id) for sample_id in batch.sample_ids])
            parts.append(Verdicts(batch.targets, predictions, confidences, photos))
    return Verdicts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _metrics(trial: Trial, verdicts: Verdicts, ece_bins: int) -> dict[str, object]:
    photo_ids = verdicts.photo_ids.tolist()
    card, pair = trial.card, trial.classes.positions(trial.card.ambiguous)
    return {
        **{name: getattr(card, name) for name in ("run", "roi", "extra_roi", "classes")},
        "epoch": card.epochs_done,
        **describe_run(*verdicts[:3], photo_ids, classes=len(card.class_names), ece_bins=ece_bins),
        **describe_pair(verdicts.targets, verdicts.predictions, photo_ids, pair),
        "conventions": CONVENTIONS,
    }
