"""Optimiser, parameter groups and learning-rate schedules of a recipe."""

import math
from typing import Any

from torch import optim

from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams

FUSED = True  # one call per step for all tensors takes a fifth of the time of torch's default on a CPU


def make_optimizer(model: RveRNet, params: TrainParams) -> optim.Optimizer:
    """Return the optimiser of all parameters that are not frozen; `set_rate` sets its rate before every step."""
    groups, rate = parameter_groups(model, params), params.learning_rate
    match params.optimizer:
        case "adam":
            return optim.Adam(groups, rate, fused=FUSED)
        case "adamw":
            return optim.AdamW(groups, rate, weight_decay=0.0, fused=FUSED)  # of groups that state none
        case "sgd":
            return optim.SGD(groups, rate, momentum=0.9, fused=FUSED)


def parameter_groups(model: RveRNet, params: TrainParams) -> list[dict[str, Any]]:
    """Group parameters by weight decay and rate, by timm's own rules; `lr_scale` is a factor on the schedule's rate.

    Biases, norms and whatever the backbone's family exempts (tokens, position embeddings) are not decayed. With layer
    decay each branch is counted from its own last layer, so branches of different depth end at the full rate alike.
    """
    if params.layer_decay == 1 and not params.weight_decay:
        return [{"params": [parameter for parameter in model.parameters() if parameter.requires_grad]}]
    # timm.optim imports torch's compiler, which takes two seconds.
    from timm.optim import param_groups_layer_decay, param_groups_weight_decay  # type: ignore[attr-defined]  # noqa: PLC0415

    extra_roi = None if model.extra_roi is model.roi else model.extra_roi
    branches = {"roi": model.roi, "extra_roi": extra_roi, "photo": model.photo}
    backbones = {name: branch.backbone for name, branch in branches.items() if branch is not None}
    exempt = {name: set(getattr(backbone, "no_weight_decay", set)()) for name, backbone in backbones.items()}
    decay, groups = params.weight_decay, list[dict[str, Any]]()
    if params.layer_decay == 1:
        names = {f"{branch}.backbone.{name}" for branch, listed in exempt.items() for name in listed}
        groups += param_groups_weight_decay(model, decay, no_weight_decay_list=names)
        return groups
    for name, backbone in backbones.items():
        groups += param_groups_layer_decay(backbone, decay, exempt[name], layer_decay=params.layer_decay)
    groups += param_groups_weight_decay(model.head, decay)
    return groups


def set_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """Give every group the schedule's rate, times the factor of its layer."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


def released_schedule(epoch: int, *, peak: float, total_steps: int) -> float:
    """Return the rate the released code used throughout `epoch` (from 0).

    Its warm-up and half cosine are counted in optimiser steps, but the scheduler is stepped once per epoch. On the
    paper's 18,320 samples, with batches of 50 and a peak of 4e-3, the rate rises from 0 to 1.0565e-4 in 30 epochs; the
    cosine begins only where an epoch has fewer than ten steps. `total_steps`, at least 1, are those of all epochs
    without incomplete batches.
    """
    warmup = 0.1 * total_steps
    if epoch < warmup:
        return peak * epoch / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (total_steps - warmup)))


def warmup_cosine(step: int, *, peak: float, warmup_steps: float, total_steps: int) -> float:
    """Return the rate of optimiser step `step` (from 0): linear up to `peak`, then half a cosine down to 0.

    The rate of the first step is above 0; it would reach 0 one step after the last.
    """
    if step < warmup_steps:
        return peak * (step + 1) / math.ceil(warmup_steps)
    share = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def learning_rate(params: TrainParams, *, epoch: int, step: int, steps_per_epoch: int, samples: int) -> float:
    """Return the rate of one optimiser step, `step` of an epoch of so many steps and samples; both counts from 0."""
    match params.schedule:
        case "released":
            complete = max(1, samples // params.batch_size)  # one, where all samples are fewer than a batch
            return released_schedule(epoch, peak=params.learning_rate, total_steps=complete * params.epochs)
        case "constant":
            return params.learning_rate
        case "warmup_cosine":
            return warmup_cosine(
                epoch * steps_per_epoch + step,
                peak=params.learning_rate,
                warmup_steps=params.warmup_epochs * steps_per_epoch,
                total_steps=params.epochs * steps_per_epoch,
            )
