"""A model with its objective: what a step runs forward and backward, in one process or several."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.models.rvernet import RveRNet
from pipeline.training.batches import Batch
from pipeline.training.objective import Objective, Scored
from pipeline.training.ranks import Ranks

Scoring: TypeAlias = Callable[[Batch], Scored]
"""Runs the model on a batch; the backward pass of several processes ends in the same gradients everywhere."""


def scoring_of(model: RveRNet, objective: Objective, ranks: Ranks) -> Scoring:
    """Return what scores a batch; several processes exchange gradients while they are made (PyTorch's DDP)."""
    if ranks.world == 1:
        return lambda batch: objective(model, batch)
    return DistributedDataParallel(_Scoring(model, objective))


def synchronised(model: RveRNet, ranks: Ranks) -> RveRNet:
    """Let batch norms of several GPUs see the batch of all, as one GPU does; PyTorch has no such layer for CPUs."""
    if ranks.world == 1 or next(model.parameters()).device.type == "cpu":
        return model
    converted: RveRNet = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return converted


class _Scoring(nn.Module):
    """The objective inside a module, so that it may look at any part of the model."""

    def __init__(self, model: RveRNet, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.waits = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())

    def forward(self, batch: Batch) -> Scored:
        """Score a share, which may be empty; then its gradient is zero, and the others are not kept waiting."""
        if len(batch.rows) or self.waits:
            return self.objective(self.model, batch)
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        nothing = torch.stack([parameter.flatten()[:0].sum() for parameter in learning])[:0]
        return Scored(nothing, nothing.detach()[:, None])
