"""What a run scored on its test split, each number with a 95 % interval, for its model card."""

from pathlib import Path
from typing import NamedTuple

from pipeline.evaluation.intervals import Bootstrap, Interval, f1_intervals, share_interval
from pipeline.evaluation.predictions import PredictionTable, read_predictions
from pipeline.models.package import RunCard

PREDICTIONS = "predictions.parquet"
SEED = 0


class Score(NamedTuple):
    """One row of the card's table."""

    name: str
    """For a reader."""
    metric: str
    """The hub's name of the metric."""
    interval: Interval
    """In [0, 1]."""
    method: str
    """How the interval is made."""


class Scores(NamedTuple):
    """A run on its test split."""

    samples: int
    """Test samples of the run's classes."""
    photos: int
    """Photos they come from."""
    rows: tuple[Score, ...]
    """Whole test split first."""


def read_scores(card: RunCard, evaluation: Path) -> Scores | None:
    """Score what `evaluate` wrote; None where the run was not evaluated.

    Raises:
        EvaluationError: If the table is empty.
        ManifestError: If the table is damaged.
    """
    path = evaluation / PREDICTIONS
    if not path.exists():
        return None
    table = read_predictions(path)
    return Scores(len(table.sample_ids), len(set(table.photo_ids)), tuple(_rows(card, table)))


def _rows(card: RunCard, table: PredictionTable) -> list[Score]:
    pair, bootstrap = table.pair(card.ambiguous), Bootstrap(SEED)
    f1 = f1_intervals(table.targets, table.predictions, table.photo_ids, pair, bootstrap)
    top1 = share_interval(table.predictions == table.targets, table.photo_ids, bootstrap)
    rows = [
        Score("top-1 accuracy", "accuracy", top1, "bootstrap over photos"),
        Score("macro F1", "f1", f1.macro, "bootstrap over photos"),
    ]
    if f1.pair is not None:
        name = f"F1 of {' and '.join(card.ambiguous)}"
        rows.append(Score(name, "f1", f1.pair, "bootstrap over photos"))
    return rows
