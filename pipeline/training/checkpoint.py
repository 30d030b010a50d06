"""State of the training loop, and checkpoints of it: written beside the last one and renamed, so one always exists."""

import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from pipeline.evaluation.metrics import EpochRecord
from pipeline.models.state_dicts import READ_ERRORS, load_checkpoint_file
from pipeline.runtime.errors import TrainingError, one_line, raise_if_machine_error
from pipeline.runtime.resources import format_bytes
from pipeline.training.distributed import current_context


def write_history(records: Sequence[EpochRecord], path: Path) -> None:
    """Write the records, in order; an absent value is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EpochRecord._fields)
        writer.writerows(["" if value is None else f"{value:.6g}" for value in record] for record in records)


class RunningMetrics(NamedTuple):
    """Sums over the steps of an epoch so far, measured while the weights move."""

    steps: int = 0
    """Optimiser steps taken."""
    samples: int = 0
    """Samples seen."""
    num_correct: int = 0
    """Correct predictions."""
    loss: float = 0.0
    """Sum of the losses."""
    normalizer: float = 0.0
    """What the sum of the losses is divided by."""
    rate: float = 0.0
    """Learning rate of the last step."""

    def after_step(
        self, *, samples: int, num_correct: int, loss: float, normalizer: float, rate: float
    ) -> "RunningMetrics":
        """Return the metrics with one step more; each argument is of that step."""
        return RunningMetrics(
            self.steps + 1,
            self.samples + samples,
            self.num_correct + num_correct,
            self.loss + loss,
            self.normalizer + normalizer,
            rate,
        )

    @property
    def mean_loss(self) -> float:
        """Mean of the objective, in nats."""
        return self.loss / self.normalizer

    @property
    def top1(self) -> float:
        """Accuracy in [0, 1]."""
        return self.num_correct / self.samples


@dataclass
class TrainerState:
    """Where a run stands, between any two optimiser steps. Order, flips and rates are functions of it."""

    epoch: int = 0
    """Current epoch, from 0: the number of epochs that are done."""
    metrics: RunningMetrics = field(default_factory=RunningMetrics)
    """Steps of the current epoch."""
    records: list[EpochRecord] = field(default_factory=list)
    """One per epoch done."""

    def close_epoch(self, record: EpochRecord) -> None:
        """Go on to the next epoch."""
        self.records.append(record)
        self.epoch, self.metrics = self.epoch + 1, RunningMetrics()


FORMAT = 2
"""Raise it when a checkpoint holds other things, or when the same state leads to other weights."""


@runtime_checkable
class Stateful(Protocol):
    """Model, optimiser, scaler or moving average: what a step changes."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and numbers."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Restore them."""


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of one run."""

    path: Path
    """File."""
    identity: str
    """Everything that defines the run; a checkpoint of another run is refused."""
    parts: Mapping[str, Stateful]
    """What is saved and loaded, by name."""
    device: torch.device
    """Whose generator is saved beside the CPU's."""

    def save(self, state: TrainerState) -> None:
        """Replace the file, on rank 0; a failed write leaves it as it was.

        Raises:
            TrainingError: If the file cannot be written.
        """
        if not current_context().is_main:
            return
        generators = {"cpu": torch.get_rng_state()}
        if self.device.type != "cpu":
            generators[self.device.type] = torch.get_device_module(self.device).get_rng_state()
        content = {
            "format": FORMAT,
            "identity": self.identity,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "generators": generators,
            "epoch": state.epoch,
            "tally": tuple(state.metrics),
            "records": [tuple(record) for record in state.records],
        }
        partial = self.path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except (OSError, RuntimeError) as error:
            partial.unlink(missing_ok=True)
            needed = format_bytes(2 * _size(content["parts"]))
            raise TrainingError(
                f"{self.path}: not written ({one_line(error)}); two checkpoints need about {needed} here, all that is "
                "needed; free some space and run again: the last one is kept"
            ) from error

    def load(self) -> TrainerState:
        """Restore rank 0's file, generators included, on all ranks; without a file, return the state of a new run.

        Only tensors and numbers are unpickled, after the checksums of all bytes have been verified.

        Raises:
            TrainingError: If the file is damaged, or of another run or version of this code.
        """
        context = current_context()
        try:
            state = context.broadcast(self._read() if context.is_main and self.path.is_file() else None)
            if state is None:
                return TrainerState()
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
            torch.set_rng_state(state["generators"]["cpu"])
            if self.device.type != "cpu":
                torch.get_device_module(self.device).set_rng_state(state["generators"][self.device.type])
            records = [EpochRecord(*record) for record in state["records"]]
            return TrainerState(state["epoch"], RunningMetrics(*state["tally"]), records)
        except READ_ERRORS as error:
            raise_if_machine_error(self.path, error)
            raise self._unusable(one_line(error)) from error

    def _read(self) -> dict[str, Any]:
        state: dict[str, Any] = load_checkpoint_file(self.path)
        if state["format"] != FORMAT or state["identity"] != self.identity:
            raise self._unusable("of another run, or of another version of this code")
        return state

    def _unusable(self, why: str) -> TrainingError:
        return TrainingError(f"{self.path}: unusable checkpoint ({why}); delete {self.path.parent} to start anew")


class CheckpointTimer:
    """Tells when a checkpoint is due; how often one is written does not change what is trained."""

    def __init__(self, minutes: float) -> None:
        """Start the clock; with 0 minutes one is always due."""
        self.seconds, self.last = 60 * minutes, time.monotonic()

    def due(self) -> bool:
        """Return whether the time is over; if so, restart the clock."""
        now = time.monotonic()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True


def _size(state: object) -> int:
    """Return the bytes of all tensors in nested dictionaries and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return sum(_size(part) for part in parts)
