"""Learning rates by epoch and optimiser step; pure functions, so a resumed run needs no scheduler state."""

import math

from pipeline.params.model import TrainParams

RELEASED_PEAK = 4e-3
"""Peak written in section 4.1 and in the released code, which never reaches it."""
RELEASED_WARMUP = 1098
"""Warm-up of the released code: three epochs counted in optimiser steps."""


def released(epoch: int) -> float:
    """Return the rate the released code really used in `epoch` (from 0).

    It stepped a warm-up that was counted in optimiser steps once an epoch, so the rate rises from 0 to 1.0565e-4 over
    30 epochs and the cosine never begins.
    """
    return RELEASED_PEAK * min(epoch, RELEASED_WARMUP) / RELEASED_WARMUP


def warmup_cosine(step: int, *, peak: float, warmup_steps: float, total_steps: int) -> float:
    """Return the rate of optimiser step `step` (from 0): linear up to `peak`, then half a cosine down to 0.

    The first step already moves, and the rate would be 0 one step after the last.
    """
    if step < warmup_steps:
        return peak * (step + 1) / math.ceil(warmup_steps)
    share = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def learning_rate(params: TrainParams, *, epoch: int, step: int, steps_per_epoch: int) -> float:
    """Return the rate of one optimiser step.

    Args:
        params: Schedule, peak and warm-up.
        epoch: Epoch, from 0.
        step: Step within the epoch, from 0.
        steps_per_epoch: Optimiser steps of every epoch.
    """
    match params.schedule:
        case "released":
            return released(epoch)
        case "constant":
            return params.learning_rate
        case "warmup_cosine":
            return warmup_cosine(
                epoch * steps_per_epoch + step,
                peak=params.learning_rate,
                warmup_steps=params.warmup_epochs * steps_per_epoch,
                total_steps=params.epochs * steps_per_epoch,
            )
