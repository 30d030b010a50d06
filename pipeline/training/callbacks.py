"""Callbacks of `fit`: the hooks, and checkpoints; `progress` has the bar and the live curves."""

import time

from pipeline.training.checkpoint import Checkpoint, TrainerState

HISTORY = "history.csv"


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
