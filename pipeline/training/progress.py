"""Where a run stands, between any two optimiser steps."""

from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.training.history import EpochRecord


class Tally(NamedTuple):
    """What the steps of an epoch so far say of it, measured while the weights moved."""

    steps: int = 0
    """Optimiser steps taken; the next one is the epoch's step of this number, from 0."""
    samples: int = 0
    """Samples seen."""
    hits: int = 0
    """Right predictions among them."""
    loss: float = 0.0
    """Sum of the losses."""
    weight: float = 0.0
    """What to divide the sum by."""
    rate: float = 0.0
    """Learning rate of the last step."""

    def after_step(self, *, samples: int, hits: int, loss: float, weight: float, rate: float) -> "Tally":
        """Return the tally with one step more; each argument is of that step, as the field of its name."""
        return Tally(
            self.steps + 1, self.samples + samples, self.hits + hits, self.loss + loss, self.weight + weight, rate
        )

    @property
    def mean_loss(self) -> float:
        """Mean of the objective, in nats."""
        return self.loss / self.weight

    @property
    def top1(self) -> float:
        """Share of right predictions in [0, 1]."""
        return self.hits / self.samples


@dataclass
class Progress:
    """The loop's own state. Order, flips and rates are functions of it, so they need no state of their own."""

    epoch: int = 0
    """Epochs that are trained and tested; the present one's number, from 0."""
    tally: Tally = field(default_factory=Tally)
    """Steps of the present epoch."""
    records: list[EpochRecord] = field(default_factory=list)
    """One an epoch done."""

    def close_epoch(self, record: EpochRecord) -> None:
        """Go on to the next epoch."""
        self.records.append(record)
        self.epoch, self.tally = self.epoch + 1, Tally()
