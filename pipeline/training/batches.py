"""Order and flips of an epoch, each from a generator of its own, so that any epoch can be redone alone."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from pipeline.training.split import Split

SMALLEST = 2
"""Batch normalisation has no variance over one sample."""


class Batch(NamedTuple):
    """Some samples of a split, on the device of the model."""

    targets: Int64[Tensor, " B"]
    """The run's targets."""
    roi: UInt8[Tensor, "B 3 S S"] | None
    """ROI views; None where no branch looks at them."""
    extra_roi: UInt8[Tensor, "B 3 S S"] | None
    """Extra-ROI views; None where no branch looks at them."""


def split_evenly(order: Int64[Tensor, " N"], batch_size: int) -> list[Int64[Tensor, " B"]]:
    """Cut an order into batches; no sample is dropped.

    The last batch may be smaller; a lone last sample joins the batch before it.
    """
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) < SMALLEST:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def draw_flips(samples: int, *, probability: float, joint: bool, generator: torch.Generator) -> Bool[Tensor, "N 2"]:
    """Decide for every sample whether its ROI (column 0) and its extra-ROI (column 1) are mirrored.

    Args:
        samples: N.
        probability: Of a flip.
        joint: Both or neither; false decides for each view alone, as the released code does.
        generator: Source of randomness.
    """
    flips = torch.rand(samples, 2, generator=generator) < probability
    return flips[:, :1].expand(samples, 2) if joint else flips


def take(split: Split, rows: Int64[Tensor, " B"], device: torch.device, flips: Bool[Tensor, "N 2"] | None) -> Batch:
    """Gather rows of a split onto a device, mirrored left to right where `flips` says so."""
    mirror = None if flips is None else flips[rows]
    return Batch(
        targets=split.targets[rows].to(device),
        roi=_view(split.roi, rows, device, None if mirror is None else mirror[:, 0]),
        extra_roi=_view(split.extra_roi, rows, device, None if mirror is None else mirror[:, 1]),
    )


def _view(
    pixels: UInt8[Tensor, "N 3 S S"] | None,
    rows: Int64[Tensor, " B"],
    device: torch.device,
    mirror: Bool[Tensor, " B"] | None,
) -> UInt8[Tensor, "B 3 S S"] | None:
    if pixels is None:
        return None
    chosen = pixels[rows].to(device)
    if mirror is None:
        return chosen
    return torch.where(mirror.to(device)[:, None, None, None], chosen.flip(3), chosen)
