"""Predict the test split with one run, and measure the predictions."""

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from pipeline.arrays import Targets
from pipeline.datasets.class_set import ambiguous_pair
from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation import metrics
from pipeline.evaluation.ambiguous import pair_names
from pipeline.evaluation.bootstrap import Bootstrap, share_interval
from pipeline.evaluation.predictions import PREDICTIONS, PredictionWriter
from pipeline.evaluation.session import SPLIT, open_session, predict_classes, predict_logits
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import progress
from pipeline.runtime.escaping import write_csv
from pipeline.runtime.stores import Place

SEED = 0  # seed of the bootstrap; the same for every run, so that runs on the same photos have the same resamples


def describe_run(  # noqa: PLR0913 - predictions, and how to measure them
    targets: Targets,
    predictions: metrics.Predictions,
    confidences: Float64[np.ndarray, "N 2"],
    photo_ids: Sequence[str],
    *,
    classes: int,
    ece_bins: int,
) -> dict[str, object]:
    """Return the whole-set numbers of metrics.json, fractions rounded to six places.

    `confidences` are probabilities in [0, 1] of the prediction, calibrated and as the model gives it.
    """
    right = targets == predictions
    bins = (metrics.reliability(column, right, ece_bins) for column in confidences.T)
    errors = [metrics.expected_calibration_error(each) for each in bins]
    return {
        "samples": len(targets),
        "top1": round(metrics.top1(targets, predictions), metrics.DIGITS),
        "top1_interval": _share_interval(right, photo_ids),
        "macro_f1": round(metrics.macro_f1(targets, predictions), metrics.DIGITS),
        "macro_f1_all": round(metrics.macro_f1_all(targets, predictions, classes), metrics.DIGITS),
        "ece": round(errors[0], metrics.DIGITS),
        "ece_uncalibrated": round(errors[1], metrics.DIGITS),
        "majority_rate": round(metrics.majority_rate(targets), metrics.DIGITS),
    }


def _share_interval(right: Bool[np.ndarray, " N"], photo_ids: Sequence[str]) -> list[float]:
    return [round(end, metrics.DIGITS) for end in share_interval(right, photo_ids, Bootstrap(SEED))[1:]]


def describe_pair(
    targets: Targets, predictions: metrics.Predictions, photo_ids: Sequence[str], pair: Sequence[int]
) -> dict[str, object]:
    """Return the numbers of the ambiguous pair; null unless the run has both classes and the test set one sample.

    Samples are those of the whole test set; `pair` has the targets of the ambiguous categories that the run has.
    """
    among, found = np.isin(targets, pair), ambiguous_pair(pair, targets)
    if found is None:
        numbers = dict.fromkeys(("ambiguous_f1", "ambiguous_top1", "ambiguous_top1_interval"))
        return numbers | {"ambiguous_samples": int(among.sum())}
    of_pair = [photo_ids[row] for row in np.flatnonzero(among).tolist()]
    return {
        "ambiguous_f1": round(metrics.pair_f1(targets, predictions, found), metrics.DIGITS),
        "ambiguous_samples": int(among.sum()),
        "ambiguous_top1": round(metrics.top1(targets[among], predictions[among]), metrics.DIGITS),
        "ambiguous_top1_interval": _share_interval((targets == predictions)[among], of_pair),
    }


def write_tables(
    targets: Targets, predictions: metrics.Predictions, class_names: Sequence[str], folder: Path, *, limit: int
) -> None:
    """Write `per_class.csv`, `confusion.csv` and `limit` rows of `top_confusions.csv` into an existing folder."""
    counts = metrics.count_classes(targets, predictions, len(class_names))
    scores = [column.round(metrics.DIGITS) for column in metrics.score_classes(counts)]
    numbers = (column.tolist() for column in (counts.support, counts.predicted, *scores))
    rows = zip(range(len(class_names)), class_names, *numbers, strict=True)
    header = ("target", "category", "support", "predicted", "precision", "recall", "f1")
    write_csv(folder / "per_class.csv", header, rows)
    cells = metrics.confusion(targets, predictions)
    write_csv(folder / "confusion.csv", ("target", "prediction", "count"), _cells(cells))
    write_csv(
        folder / "top_confusions.csv",
        ("target", "prediction", "category", "predicted_category", "count", "share"),
        (
            (target, prediction, class_names[target], class_names[prediction], samples, share)
            for target, prediction, samples in _cells(metrics.top_confusions(cells, limit))
            for share in [round(samples / int(counts.support[target]), metrics.DIGITS)]
        ),
    )


def _cells(cells: metrics.Confusion) -> Iterable[tuple[int, int, int]]:
    return zip(*(column.tolist() for column in cells), strict=True)


def evaluate(  # noqa: PLR0913 - one argument for each thing that the stage depends on
    params: EvaluateParams, *, shards: Place, run: Path, output: Path, device: str, ambiguous: Path | None = None
) -> None:
    """Predict the test split with one run, and write predictions and metrics.

    Args:
        params: Section `evaluate`.
        shards: Shards, whose mask source may differ from that of the run.
        run: Package of the run.
        output: Gets `predictions.parquet`, `metrics.json`, `per_class.csv`, `confusion.csv` and `top_confusions.csv`.
        device: Where the model runs.
        ambiguous: File of the ambiguous pair; None takes the pair of the run's card.

    Raises:
        EvaluationError: If the shards do not fit the run, have no test sample of its classes, or a logit is not finite.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    session = open_session(run, shards, device)
    card = session.card
    output.mkdir(parents=True, exist_ok=True)
    parts, total = [], session.shards.rows(SPLIT)
    writer = PredictionWriter(output / PREDICTIONS, run=card.run, class_names=card.class_names)
    with closing(writer):
        batches = session.batches(params.batch_size)
        for batch in progress(batches, total=total, what=f"evaluate {card.run}", unit="sample", count=len):
            logits = predict_logits(session.model, batch, session.device)
            found = predict_classes(logits, batch.sample_ids)
            writer.write(batch.sample_ids, batch.targets, found, logits)
            calibrated = [metrics.confidences_of(logits, t) for t in (card.calibration.temperature, 1.0)]
            # 32 bytes a sample and the name of its photo; the logits are not kept
            photos = np.array([photo_id_of(sample_id) for sample_id in batch.sample_ids])
            parts.append((batch.targets, found, np.stack(calibrated, axis=1), photos))
    targets, predictions, confidences, photo_names = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    photo_ids = photo_names.tolist()
    names = pair_names(ambiguous, card.ambiguous)
    classes, pair = len(card.class_names), session.classes.positions(names)
    write_tables(targets, predictions, card.class_names, output, limit=params.top_confusions)
    described = {
        **{name: getattr(card, name) for name in ("run", "roi", "extra_roi", "classes")},
        "epoch": card.epochs_done,
        "weights_sha256": card.weights_sha256,
        "ambiguous": names,
        **describe_run(targets, predictions, confidences, photo_ids, classes=classes, ece_bins=params.ece_bins),
        **describe_pair(targets, predictions, photo_ids, pair),
        "conventions": metrics.CONVENTIONS,
    }
    (output / "metrics.json").write_text(json.dumps(described, indent=1, allow_nan=False) + "\n", encoding="utf-8")
