"""A checkpoint after every epoch: written beside the last one and renamed, so that a good one always exists."""

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from pipeline.errors import TrainingError
from pipeline.space import readable
from pipeline.training.history import EpochRecord

DAMAGE = (RuntimeError, LookupError, ValueError, TypeError, AttributeError, OverflowError, EOFError, OSError)
"""What torch raises on files that are damaged or of another kind."""
ModelT = TypeVar("ModelT", bound=nn.Module)


@dataclass
class Progress(Generic[ModelT]):
    """A run in the making. Order, flips, dropout and rates are functions of the epoch, so they need no state here."""

    model: ModelT
    """Weights and running statistics."""
    optimizer: torch.optim.Optimizer
    """Moments and step counts."""
    records: list[EpochRecord] = field(default_factory=list)
    """One an epoch done."""


def save_checkpoint(progress: Progress[Any], path: Path) -> None:
    """Replace `path`; a failed write leaves it as it was.

    Raises:
        TrainingError: If the file cannot be written.
    """
    state = {
        "model": progress.model.state_dict(),
        "optimizer": progress.optimizer.state_dict(),
        "records": [tuple(record) for record in progress.records],
    }
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        text = " ".join(str(error).split())
        needed = readable(2 * 3 * sum(tensor.nbytes for tensor in progress.model.state_dict().values()))
        raise TrainingError(
            f"{path}: not written ({text}); two checkpoints need about {needed} here, all that is needed; free some "
            "space and run again: the last one is kept"
        ) from error


def load_checkpoint(progress: Progress[Any], path: Path, device: torch.device) -> None:
    """Take up a checkpoint if there is one; nothing is unpickled but tensors and numbers.

    Raises:
        TrainingError: If the file is damaged or of another model.
    """
    if not path.is_file():
        return
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        progress.model.load_state_dict(state["model"])
        progress.optimizer.load_state_dict(state["optimizer"])
        progress.records = [EpochRecord(*record) for record in state["records"]]
    except (*DAMAGE, pickle.UnpicklingError) as error:
        text = " ".join(str(error).split())
        raise TrainingError(f"{path}: unusable checkpoint ({text}); delete {path.parent} to start anew") from error
