"""Learning rates by epoch and optimiser step; pure functions, so a resumed run needs no scheduler state."""

import math

from pipeline.params.model import TrainParams

RELEASED_WARMUP = 0.1
"""Warm-up of the released code: a share of all optimiser steps."""


def released(epoch: int, *, peak: float, total_steps: int) -> float:
    """Return the rate the released code used throughout `epoch` (from 0).

    Its warm-up and half cosine are counted in optimiser steps, but it took one step of them an epoch. On the paper's
    18,320 samples, with 50 a batch and a peak of 4e-3, the rate rises from 0 to 1.0565e-4 in 30 epochs; the cosine
    begins only where there are fewer than ten steps an epoch.

    Args:
        epoch: Where an optimiser step was meant.
        peak: Rate at the end of the warm-up.
        total_steps: Optimiser steps of all epochs, at least 1; steps of incomplete batches are not counted.
    """
    warmup = RELEASED_WARMUP * total_steps
    if epoch < warmup:
        return peak * epoch / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (total_steps - warmup)))


def warmup_cosine(step: int, *, peak: float, warmup_steps: float, total_steps: int) -> float:
    """Return the rate of optimiser step `step` (from 0): linear up to `peak`, then half a cosine down to 0.

    The first step already moves, and the rate would be 0 one step after the last.
    """
    if step < warmup_steps:
        return peak * (step + 1) / math.ceil(warmup_steps)
    share = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def learning_rate(params: TrainParams, *, epoch: int, step: int, steps_per_epoch: int, samples: int) -> float:
    """Return the rate of one optimiser step.

    Args:
        params: Schedule, peak and warm-up.
        epoch: Epoch, from 0.
        step: Step within the epoch, from 0.
        steps_per_epoch: Optimiser steps of every epoch.
        samples: Samples of every epoch.
    """
    match params.schedule:
        case "released":
            complete = max(1, samples // params.batch_size)  # one, where all samples are fewer than a batch
            return released(epoch, peak=params.learning_rate, total_steps=complete * params.epochs)
        case "constant":
            return params.learning_rate
        case "warmup_cosine":
            return warmup_cosine(
                epoch * steps_per_epoch + step,
                peak=params.learning_rate,
                warmup_steps=params.warmup_epochs * steps_per_epoch,
                total_steps=params.epochs * steps_per_epoch,
            )
