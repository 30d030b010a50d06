"""A model in training and everything its optimiser steps change."""

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel

from pipeline.models.device import Precision
from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import TrainingError, counted
from pipeline.training.dataset import Batch
from pipeline.training.distributed import DistributedContext, current_context
from pipeline.training.losses import LossOutput, Objective
from pipeline.training.optimizer import make_optimizer, set_rate

# Branches that stay as they were loaded, while the rest of the model learns.


def frozen_branches(model: RveRNet, params: TrainParams) -> Iterator[nn.Module]:
    """Yield the branches that `freeze` names and the model has."""
    for name, branch in (("roi", model.roi), ("extra_roi", model.extra_roi)):
        if branch is not None and params.freeze in {name, "both"}:
            yield branch


def freeze(model: RveRNet, params: TrainParams) -> None:
    """Take the frozen branches' parameters out of training."""
    for branch in frozen_branches(model, params):
        branch.requires_grad_(requires_grad=False)


def set_train_mode(model: RveRNet, params: TrainParams) -> None:
    """Turn on dropout and the collection of batch statistics, but not in frozen branches."""
    model.train()
    for branch in frozen_branches(model, params):
        branch.eval()


# A model with its objective: what a step runs forward and backward, in one process or several.


Scoring: TypeAlias = Callable[[Batch], LossOutput]
"""Runs the model on a batch; the backward pass of several processes ends in the same gradients everywhere."""


def scoring_of(model: RveRNet, objective: Objective, ranks: DistributedContext) -> Scoring:
    """Return what scores a batch; several processes exchange gradients while they are made (PyTorch's DDP)."""
    if ranks.world_size == 1:
        return lambda batch: objective(model, batch)
    return DistributedDataParallel(_Scoring(model, objective))


def synchronised(model: RveRNet, ranks: DistributedContext) -> RveRNet:
    """Let batch norms of several GPUs see the batch of all, as one GPU does; PyTorch has no such layer for CPUs."""
    if ranks.world_size == 1 or next(model.parameters()).device.type == "cpu":
        return model
    converted: RveRNet = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return converted


class _Scoring(nn.Module):
    """The objective inside a module, so that it may look at any part of the model."""

    def __init__(self, model: RveRNet, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.waits = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())

    def forward(self, batch: Batch) -> LossOutput:
        """Score a share, which may be empty; then its gradient is zero, and the others are not kept waiting."""
        if len(batch.rows) or self.waits:
            return self.objective(self.model, batch)
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        nothing = torch.stack([parameter.flatten()[:0].sum() for parameter in learning])[:0]
        return LossOutput(nothing, nothing.detach()[:, None])


COMPILER = ("torch._dynamo", "torch._inductor")


class StepSums(NamedTuple):
    """What an optimiser step says of its samples, before it moves the weights."""

    loss: float
    """Sum of the losses."""
    num_correct: int
    """Right predictions."""


class NonFiniteLossError(TrainingError):
    """Losses of a batch are not finite; `rows` are those of the split."""

    def __init__(self, rows: list[int]) -> None:
        """Take the rows; whoever knows their names tells them."""
        super().__init__(f"the loss of rows {rows} is not finite")
        self.rows = rows


class Trainer:
    """Takes optimiser steps. All state that outlives a step is in `parts`, so that a checkpoint misses none."""

    model: RveRNet
    """Moves with every step."""
    ema_model: ModelEmaV3 | None
    """Average of the weights and batch statistics over the steps so far; None where the recipe has none."""

    def __init__(self, model: RveRNet, params: TrainParams, objective: Objective, precision: Precision) -> None:
        """Prepare a model that already lies on its device: freeze, group parameters, compile."""
        freeze(model, params)
        self.ranks = current_context()
        model = synchronised(model, self.ranks)
        self.model, self.objective, self.precision, self.params = model, objective, precision, params
        self.optimizer: torch.optim.Optimizer = make_optimizer(model, params)
        self.scaler: GradScaler = precision.scaler()
        # Young averages forget their start sooner, so that short runs do not test their initialisation.
        self.ema_model = ModelEmaV3(model, decay=params.ema_decay, use_warmup=True) if params.ema_decay else None
        if params.compile:
            importlib.import_module("torch._inductor.config").deterministic = True  # type: ignore[attr-defined]
            # One graph a shape: which kernels a batch meets must not depend on what an interrupted run saw before.
            model.compile(dynamic=False)
        self.scoring = scoring_of(model, objective, self.ranks)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def eval_model(self) -> RveRNet:
        """Model that is tested and saved: the average where there is one."""
        if self.ema_model is None:
            return self.model
        averaged: RveRNet = self.ema_model.module
        return averaged

    @property
    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | GradScaler]:
        """Everything with a state, by name."""
        averages = {} if self.ema_model is None else {"average": self.eval_model}
        return {"model": self.model, "optimizer": self.optimizer, "scaler": self.scaler, **averages}

    def step(self, passes: Iterable[Batch], *, weight: float, rate: float, number: int) -> StepSums:
        """Take one optimiser step for the samples of all passes together.

        The gradient is that of the whole batch within rounding, however many passes it is split into. What a layer
        computes over a batch (batch statistics, dropout masks) it computes over each pass.

        Args:
            passes: One batch each.
            weight: What the objective divides all these samples' losses by.
            rate: Learning rate.
            number: Steps of the run before this one.

        Raises:
            NonFiniteLossError: If a loss is not finite; the weights have not moved.
            TrainingError: If the device has not enough memory, or the model cannot be compiled.
        """
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        sums = [self._learn_from(batch, weight) for batch in passes]
        if self.params.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.params.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema_model is not None:
            self.ema_model.update(self.model, number + 1)
        return StepSums(sum(part.loss for part in sums), sum(part.num_correct for part in sums))

    def _learn_from(self, batch: Batch, weight: float) -> StepSums:
        try:
            with self.precision.autocast():
                scored: LossOutput = self.scoring(batch)
            # Processes average their gradients, each of a part of the sum: so each counts as often as there are.
            self.scaler.scale(scored.losses.sum() / (weight / self.ranks.world_size)).backward()  # type: ignore[no-untyped-call]
            # Asked for only now, so that a GPU has the backward pass to do while it is waited for.
            sums = _sum_up(scored, batch, self.ranks)
        except RuntimeError as error:
            advice = _advice(error, len(batch.rows))
            if advice is None:
                raise
            raise TrainingError(advice) from error
        return sums


def _advice(error: RuntimeError, samples: int) -> str | None:
    """Say what to do about an error of the machine rather than of this code."""
    if isinstance(error, torch.OutOfMemoryError):
        return f"the device has not enough memory for {counted(samples, 'sample')} a pass; raise train.accumulate"
    if type(error).__module__.startswith(COMPILER):  # imported by name it would cost every run a second
        text = str(error).strip().splitlines()[0]
        return (
            f"train.compile: {text}; install what is missing (g++, or triton on a GPU), or set train.compile to false"
        )
    return None


def _sum_up(scored: LossOutput, batch: Batch, ranks: DistributedContext) -> StepSums:
    """Sum over the samples of all processes, before any of them moves."""
    losses = scored.losses.detach()
    num_correct = (scored.logits.detach().argmax(1) == batch.targets).sum()
    # One look at the device a pass: each makes a GPU wait.
    bad = ~losses.isfinite()
    figures = torch.stack((losses.sum(), num_correct.to(losses.dtype), bad.any().to(losses.dtype)))
    total, right, broken = ranks.all_reduce(figures).tolist()
    if broken:
        raise NonFiniteLossError([row for rows in ranks.all_gather(_rows(batch, bad)) for row in rows])
    return StepSums(total, int(right))


def _rows(batch: Batch, chosen: Tensor) -> list[int]:
    rows: list[int] = batch.rows[chosen.cpu()].tolist()
    return rows
