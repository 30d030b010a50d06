"""Checkpoints between optimiser steps: written beside the last one and renamed, so that a good one always exists."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from pipeline.errors import TrainingError, refuse_machine_fault
from pipeline.models.state_dicts import DAMAGE, load_saved
from pipeline.space import readable
from pipeline.training.history import EpochRecord
from pipeline.training.progress import Progress, Tally
from pipeline.training.ranks import present_ranks

FORMAT = 2
"""To be raised when a checkpoint holds other things, or when the same state would go on to other weights."""


@runtime_checkable
class Stateful(Protocol):
    """Model, optimiser, scaler, average: whatever a step changes."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and numbers."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take them up."""


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of one run."""

    path: Path
    """File."""
    identity: str
    """Everything that defines the run; a checkpoint of another one is not taken up."""
    parts: Mapping[str, Stateful]
    """What is saved and loaded, by name."""
    device: torch.device
    """Whose generator is saved beside the CPU's."""

    def save(self, progress: Progress) -> None:
        """Replace the file; a failed write leaves it as it was. Of several processes the first one writes it.

        Raises:
            TrainingError: If the file cannot be written.
        """
        if not present_ranks().leads:
            return
        state = {
            "format": FORMAT,
            "identity": self.identity,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "generators": _generators(self.device),
            "epoch": progress.epoch,
            "tally": tuple(progress.tally),
            "records": [tuple(record) for record in progress.records],
        }
        partial = self.path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except (OSError, RuntimeError) as error:
            partial.unlink(missing_ok=True)
            needed = readable(2 * _size(state["parts"]))
            raise TrainingError(
                f"{self.path}: not written ({_one_line(error)}); two checkpoints need about {needed} here, all that is "
                "needed; free some space and run again: the last one is kept"
            ) from error

    def load(self) -> Progress:
        """Take up the file, generators included; without one, a run starts anew. Several processes take up the first's.

        Nothing is unpickled but tensors and numbers, and the checksums of all bytes are compared first.

        Raises:
            TrainingError: If the file is damaged, or of another run or version of this code.
        """
        ranks = present_ranks()
        try:
            state = ranks.of_first(self._read() if ranks.leads and self.path.is_file() else None)
            if state is None:
                return Progress()
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
            _set_generators(state["generators"], self.device)
            records = [EpochRecord(*record) for record in state["records"]]
            return Progress(state["epoch"], Tally(*state["tally"]), records)
        except DAMAGE as error:
            refuse_machine_fault(self.path, error)
            raise self._unusable(_one_line(error)) from error

    def _read(self) -> dict[str, Any]:
        state: dict[str, Any] = load_saved(self.path)
        if state["format"] != FORMAT or state["identity"] != self.identity:
            raise self._unusable("of another run, or of another version of this code")
        return state

    def _unusable(self, why: str) -> TrainingError:
        return TrainingError(f"{self.path}: unusable checkpoint ({why}); delete {self.path.parent} to start anew")


class Pace:
    """Says when a checkpoint is due; how often one is written never changes what is trained."""

    def __init__(self, minutes: float) -> None:
        """Start the clock; 0 minutes make one due at any time."""
        self.seconds, self.last = 60 * minutes, time.monotonic()

    def due(self) -> bool:
        """Return whether the time is over; if so, it starts again."""
        now = time.monotonic()
        over = now - self.last >= self.seconds
        self.last = now if over else self.last
        return over


def _size(state: object) -> int:
    """Return the bytes of all tensors in nested dictionaries and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return sum(_size(part) for part in parts)


def _generators(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def _set_generators(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[device.type])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
