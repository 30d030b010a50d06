"""Order and flips of an epoch, each from a generator of its own, so that any epoch can be redone alone.

A plan holds row numbers, never pixels; `Split.stream` gathers them in the order of the plan.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from pipeline.models.numerics import generator_of
from pipeline.params.model import TrainParams

SMALLEST = 2
"""Batch normalisation has no variance over one sample."""


class MicroBatch(NamedTuple):
    """Indices of the samples of one forward and backward pass."""

    rows: Int64[Tensor, " B"]
    """Rows of the split."""
    hflip: Bool[Tensor, "B 2"] | None
    """Whether the ROI (column 0) and the extra-ROI (column 1) of each are flipped left to right; None flips none."""


class Batch(NamedTuple):
    """Some samples of a split, on the device of the model."""

    rows: Int64[Tensor, " B"]
    """Rows of the split, on the CPU."""
    targets: Int64[Tensor, " B"]
    """The run's targets."""
    roi: UInt8[Tensor, "B 3 S S"] | None
    """ROI views; None where no branch looks at them."""
    extra_roi: UInt8[Tensor, "B 3 S S"] | None
    """Extra-ROI views; None where no branch looks at them."""


class EpochPlan(NamedTuple):
    """Every sample an epoch sees, in order."""

    steps: tuple[tuple[MicroBatch, ...], ...]
    """Micro-batches by optimiser step; the samples of a step are the global batch, on however many devices."""
    samples: int
    """Samples in all."""


def plan_epoch(
    targets: Int64[Tensor, " N"], params: TrainParams, epoch: int, *, weights: Float[Tensor, " K"] | None
) -> EpochPlan:
    """Draw order and flips; they depend on (seed, epoch) alone.

    Args:
        targets: The split's.
        params: Seed, batch size, passes, flips.
        epoch: From 0.
        weights: How often a sample of each class is drawn, in any unit, with replacement; None draws every one once.
    """
    samples = len(targets)
    order = _order(targets, weights, generator_of(params.seed, "order", epoch))
    generator = generator_of(params.seed, "flip", epoch)
    flips = draw_flips(samples, probability=params.flip, joint=params.joint_flip, generator=generator)
    hflip = flips[order] if weights is None else flips  # a sample drawn twice is flipped twice anew
    steps = split_batches(torch.arange(samples), params.batch_size)
    size = -(-params.batch_size // params.accumulate)
    micro_batches = (
        tuple(MicroBatch(order[part], hflip[part]) for part in split_batches(step, size)) for step in steps
    )
    return EpochPlan(tuple(micro_batches), samples)


def _order(
    targets: Int64[Tensor, " N"], weights: Float[Tensor, " K"] | None, generator: torch.Generator
) -> Int64[Tensor, " N"]:
    if weights is None:
        return torch.randperm(len(targets), generator=generator)
    return torch.multinomial(weights[targets], len(targets), replacement=True, generator=generator)


def split_batches(order: Int64[Tensor, " N"], batch_size: int) -> list[Int64[Tensor, " B"]]:
    """Cut an order into batches; no sample is dropped.

    The last batch may be smaller; a lone last sample joins the batch before it.
    """
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) < SMALLEST:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def draw_flips(samples: int, *, probability: float, joint: bool, generator: torch.Generator) -> Bool[Tensor, "N 2"]:
    """Decide for every sample whether its ROI (column 0) and its extra-ROI (column 1) are flipped left to right.

    Args:
        samples: N.
        probability: Of a flip.
        joint: Both or neither; false decides for each view alone, as the released code does.
        generator: Source of randomness.
    """
    flips = torch.rand(samples, 2, generator=generator) < probability
    return flips[:, :1].expand(samples, 2) if joint else flips
