"""Learning curves: `history.csv`, one row an epoch."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class EpochRecord(NamedTuple):
    """One row of history.csv; losses are mean cross-entropies in nats, the rest are fractions in [0, 1]."""

    epoch: int
    """From 1."""
    learning_rate: float
    """Rate of the epoch's last step."""
    train_loss: float
    """While the weights moved, on flipped samples."""
    train_top1: float
    """While the weights moved, on flipped samples."""
    test_loss: float
    """After the epoch."""
    test_top1: float
    """After the epoch."""
    test_macro_f1: float
    """After the epoch, over classes that occur in targets or predictions."""
    test_ambiguous_f1: float | None
    """After the epoch, mean over the ambiguous pair; None if the run does not have both."""


def write_history(records: Sequence[EpochRecord], path: Path) -> None:
    """Write the records, in order; an absent value is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EpochRecord._fields)
        writer.writerows(["" if value is None else f"{value:.6g}" for value in record] for record in records)
