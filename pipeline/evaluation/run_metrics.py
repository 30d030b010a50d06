"""Everything `evaluate` says about a run, from targets, predictions and confidences."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from pipeline.arrays import Targets
from pipeline.datasets.class_set import find_pair
from pipeline.escaping import spreadsheet
from pipeline.evaluation.intervals import Bootstrap, share_interval
from pipeline.evaluation.metrics import (
    Confusion,
    Predictions,
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

DIGITS = 6
SEED = 0
"""Of the resamples behind intervals; the same for every run, so that runs on the same photos have the same ones."""
Row = tuple[int | float | str, ...]


def describe_run(  # noqa: PLR0913 - a run's answers, and how to measure them
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
        "top1_interval": _ends(right, photo_ids),
        "macro_f1": round(macro_f1(targets, predictions), DIGITS),
        "macro_f1_all": round(macro_f1_all(targets, predictions, classes), DIGITS),
        "ece": round(errors[0], DIGITS),
        "ece_uncalibrated": round(errors[1], DIGITS),
        "majority_rate": round(majority_rate(targets), DIGITS),
    }


def _ends(right: Bool[np.ndarray, " N"], photo_ids: Sequence[str]) -> list[float]:
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
        "ambiguous_top1_interval": _ends((targets == predictions)[among], of_pair),
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
