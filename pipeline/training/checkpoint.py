"""State of the training loop, callbacks that get it, and checkpoints: written beside the last one and renamed.

`progress` has the callback of the bar and of the live curves.
"""

import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from pipeline.evaluation.metrics import EpochRecord
from pipeline.models.state_dicts import READ_ERRORS, load_checkpoint_file
from pipeline.runtime.errors import TrainingError, one_line, raise_if_machine_error
from pipeline.runtime.resources import format_bytes
from pipeline.training.distributed import current_context

HISTORY = "history.csv"


def write_history(records: Sequence[EpochRecord], path: Path) -> None:
    """Write the records, in order; an absent value is an empty cell, and columns of the test split are left out."""
    tested = any(record.test_loss is not None for record in records)
    names = [name for name in EpochRecord._fields if tested or not name.startswith("test_")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        rows = ([getattr(record, name) for name in names] for record in records)
        writer.writerows(["" if value is None else f"{value:.6g}" for value in row] for row in rows)


class RunningMetrics(NamedTuple):
    """Sums over the steps of an epoch so far, measured while the weights move."""

    steps: int = 0
    samples: int = 0
    num_correct: int = 0
    loss: float = 0.0
    normalizer: float = 0.0  # what the sum of the losses is divided by
    rate: float = 0.0  # learning rate of the last step

    @property
    def mean_loss(self) -> float:
        """Mean of the objective, in nats."""
        return self.loss / self.normalizer

    @property
    def top1(self) -> float:
        """Accuracy in [0, 1]."""
        return self.num_correct / self.samples


class BestEpoch(NamedTuple):
    """The epoch of the highest top-1 on the validation split so far; the earliest of equals."""

    epoch: int  # from 1
    top1: float  # in [0, 1]
    weights: dict[str, Tensor]  # state dict of the evaluated model, on the CPU


@dataclass
class TrainerState:
    """Where a run stands, between any two optimiser steps. Order, flips and rates are functions of it."""

    epoch: int = 0  # current epoch, from 0: the number of epochs that are done
    metrics: RunningMetrics = field(default_factory=RunningMetrics)  # steps of the current epoch
    records: list[EpochRecord] = field(default_factory=list)
    best: BestEpoch | None = None  # None where the last epoch is kept


FORMAT = 2  # raise it when a checkpoint holds other things, or when the same state leads to other weights


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of one run."""

    path: Path
    identity: str  # everything that defines the run; a checkpoint of another run is refused
    parts: Mapping[str, nn.Module | Optimizer | GradScaler]  # what is saved and loaded, by name
    device: torch.device  # whose generator is saved beside the CPU's

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
            "best": state.best and tuple(state.best),
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
            needed = format_bytes(2 * _size(content))
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
            state: Any = None
            if context.is_main and self.path.is_file():
                state = load_checkpoint_file(self.path)
                if state["format"] != FORMAT or state["identity"] != self.identity:
                    raise ValueError("of another run, or of another version of this code")
            state = context.broadcast(state)
            if state is None:
                return TrainerState()
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
            torch.set_rng_state(state["generators"]["cpu"])
            if self.device.type != "cpu":
                torch.get_device_module(self.device).set_rng_state(state["generators"][self.device.type])
            records = [EpochRecord(*record) for record in state["records"]]
            best = state.get("best")  # checkpoints of earlier versions lack it
            return TrainerState(state["epoch"], RunningMetrics(*state["tally"]), records, best and BestEpoch(*best))
        except READ_ERRORS as error:
            raise_if_machine_error(self.path, error)
            raise TrainingError(
                f"{self.path}: unusable checkpoint ({one_line(error)}); delete {self.path.parent} to start anew"
            ) from error


class Callback:
    """Hooks of the training loop; none changes what is trained."""

    def on_step_end(self, state: TrainerState) -> None:
        """Run after an optimiser step."""

    def on_train_epoch_end(self, state: TrainerState) -> None:
        """Run after an epoch's last step, before its evaluation."""

    def on_epoch_end(self, state: TrainerState) -> None:
        """Run after an epoch's evaluation; its record is the last one."""


class CheckpointCallback(Callback):
    """Saves a checkpoint at the end of every epoch, and within one when as many minutes have passed."""

    def __init__(self, checkpoint: Checkpoint, minutes: float) -> None:
        """Start the clock; with 0 minutes a checkpoint is due after every step."""
        self.checkpoint, self.seconds, self.last = checkpoint, 60 * minutes, time.monotonic()

    def on_step_end(self, state: TrainerState) -> None:
        """Save when due."""
        now = time.monotonic()
        if now - self.last >= self.seconds:
            self.last = now
            self.checkpoint.save(state)

    def on_train_epoch_end(self, state: TrainerState) -> None:
        """Save."""
        self.checkpoint.save(state)


def _size(state: object) -> int:
    """Return the bytes of all tensors in nested dictionaries and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(_size(part) for part in parts)
