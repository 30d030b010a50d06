"""Predict the test split with one run, and measure the predictions."""

import csv
import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from pipeline.arrays import Targets
from pipeline.datasets.class_set import find_pair
from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation.bootstrap import Bootstrap, share_interval
from pipeline.evaluation.metrics import (
    CONVENTIONS,
    Confusion,
    Predictions,
    confidences_of,
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
from pipeline.evaluation.predictions import PredictionWriter
from pipeline.evaluation.session import EvalSession, open_session, predict_classes, predict_logits
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import progress
from pipeline.runtime.escaping import spreadsheet
from pipeline.runtime.stores import Place

DIGITS = 6
SEED = 0
"""Seed of the bootstrap; the same for every run, so that runs on the same photos have the same resamples."""
Row = tuple[int | float | str, ...]


def describe_run(  # noqa: PLR0913 - predictions, and how to measure them
    targets: Targets,
    predictions: Predictions,
    confidences: Float64[np.ndarray, "N 2"],
    photo_ids: Sequence[str],
    *,
    classes: int,
    ece_bins: int,
) -> dict[str, object]:
    """Return the whole-set numbers of metrics.json, fractions rounded to six places.

    Args:
        targets: True classes.
        predictions: Predicted classes.
        confidences: Probability in [0, 1] of the prediction, calibrated and as the model gives it.
        photo_ids: Photo of each sample.
        classes: Classes of the run.
        ece_bins: Bins of the calibration error.
    """
    right = targets == predictions
    errors = [expected_calibration_error(reliability(column, right, ece_bins)) for column in confidences.T]
    return {
        "samples": len(targets),
        "top1": round(top1(targets, predictions), DIGITS),
        "top1_interval": _share_interval(right, photo_ids),
        "macro_f1": round(macro_f1(targets, predictions), DIGITS),
        "macro_f1_all": round(macro_f1_all(targets, predictions, classes), DIGITS),
        "ece": round(errors[0], DIGITS),
        "ece_uncalibrated": round(errors[1], DIGITS),
        "majority_rate": round(majority_rate(targets), DIGITS),
    }


def _share_interval(right: Bool[np.ndarray, " N"], photo_ids: Sequence[str]) -> list[float]:
    return [round(end, DIGITS) for end in share_interval(right, photo_ids, Bootstrap(SEED))[1:]]


def describe_pair(
    targets: Targets, predictions: Predictions, photo_ids: Sequence[str], pair: Sequence[int]
) -> dict[str, object]:
    """Return the numbers of the ambiguous pair; null unless the run has both classes and the test set one sample.

    Args:
        targets: True classes of the whole test set.
        predictions: Predicted classes of the whole test set.
        photo_ids: Photo of each sample.
        pair: Targets of the ambiguous categories that the run has.
    """
    among, found = np.isin(targets, pair), find_pair(pair, targets)
    if found is None:
        numbers = dict.fromkeys(("ambiguous_f1", "ambiguous_top1", "ambiguous_top1_interval"))
        return numbers | {"ambiguous_samples": int(among.sum())}
    of_pair = [photo_ids[row] for row in np.flatnonzero(among).tolist()]
    return {
        "ambiguous_f1": round(pair_f1(targets, predictions, found), DIGITS),
        "ambiguous_samples": int(among.sum()),
        "ambiguous_top1": round(top1(targets[among], predictions[among]), DIGITS),
        "ambiguous_top1_interval": _share_interval((targets == predictions)[among], of_pair),
    }


def write_tables(
    targets: Targets, predictions: Predictions, class_names: Sequence[str], folder: Path, *, limit: int
) -> None:
    """Write `per_class.csv`, `confusion.csv` and `top_confusions.csv`.

    Args:
        targets: True classes.
        predictions: Predicted classes.
        class_names: Category name by class index.
        folder: Existing folder.
        limit: Rows of `top_confusions.csv`.
    """
    counts = count_classes(targets, predictions, len(class_names))
    numbers = (counts.support, counts.predicted, *(scores.round(DIGITS) for scores in score_classes(counts)))
    rows = zip(range(len(class_names)), class_names, *(column.tolist() for column in numbers), strict=True)
    header = ("target", "category", "support", "predicted", "precision", "recall", "f1")
    _write_csv(folder / "per_class.csv", header, rows)
    cells = confusion(targets, predictions)
    _write_csv(folder / "confusion.csv", ("target", "prediction", "count"), _cells(cells))
    _write_csv(
        folder / "top_confusions.csv",
        ("target", "prediction", "category", "predicted_category", "count", "share"),
        (
            (target, prediction, class_names[target], class_names[prediction], samples, share)
            for target, prediction, samples in _cells(top_confusions(cells, limit))
            for share in [round(samples / int(counts.support[target]), DIGITS)]
        ),
    )


def _cells(cells: Confusion) -> Iterable[tuple[int, int, int]]:
    return zip(*(column.tolist() for column in cells), strict=True)


def _write_csv(path: Path, header: Row, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(map(spreadsheet, row) for row in rows)


class EvalOutputs(NamedTuple):
    """Predictions of the test split: 32 bytes per sample and the name of its photo."""

    targets: Targets
    """True classes."""
    predictions: Predictions
    """Predicted classes."""
    confidences: Float64[np.ndarray, "N 2"]
    """Softmax maximum, calibrated and as the model gives it."""
    photo_ids: np.ndarray
    """`<split>/<photo stem>`."""


def evaluate(params: EvaluateParams, *, shards: Place, run: Path, output: Path, device: str) -> None:
    """Predict the test split with one run, and write predictions and metrics.

    `output` gets `predictions.parquet`, `metrics.json`, `per_class.csv`, `confusion.csv` and `top_confusions.csv`.

    Args:
        params: Section `evaluate`.
        shards: Folder of shards; their mask source may differ from that of the run.
        run: Folder of the run.
        output: Folder to write.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        EvaluationError: If the shards do not fit the run, have no test sample of its classes, or a logit is not finite.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    session = open_session(run, shards, device)
    card = session.card
    output.mkdir(parents=True, exist_ok=True)
    targets, predictions, confidences, photos = _predict_split(
        session, params.batch_size, output / "predictions.parquet"
    )
    photo_ids = photos.tolist()
    classes, pair = len(card.class_names), session.classes.positions(card.ambiguous)
    write_tables(targets, predictions, card.class_names, output, limit=params.top_confusions)
    metrics = {
        **{name: getattr(card, name) for name in ("run", "roi", "extra_roi", "classes")},
        "epoch": card.epochs_done,
        **describe_run(targets, predictions, confidences, photo_ids, classes=classes, ece_bins=params.ece_bins),
        **describe_pair(targets, predictions, photo_ids, pair),
        "conventions": CONVENTIONS,
    }
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _predict_split(session: EvalSession, batch_size: int, path: Path) -> EvalOutputs:
    """Predict the test split, and write the predictions while they come."""
    parts, card = [], session.card
    total, what = session.batch_count(batch_size), f"evaluate {card.run}"
    with closing(PredictionWriter(path, run=card.run, class_names=card.class_names)) as writer:
        for batch in progress(session.batches(batch_size), total=total, what=what, unit="batch"):
            logits = predict_logits(session.model, batch, session.device)
            predictions = predict_classes(logits, batch.sample_ids)
            writer.write(batch.sample_ids, batch.targets, predictions, logits)
            confidences = np.stack([confidences_of(logits, t) for t in (card.calibration.temperature, 1.0)], axis=1)
            photos = np.array([photo_id_of(sample_id) for sample_id in batch.sample_ids])
            parts.append(EvalOutputs(batch.targets, predictions, confidences, photos))
    return EvalOutputs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
