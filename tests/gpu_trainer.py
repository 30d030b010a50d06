"""A small model that is trained on the CPU or the GPU; run alone, it prints losses of plain and of compiled steps."""

import json

import torch

from pipeline.models.artifact import build_run
from pipeline.models.device import Name, Precision, set_deterministic
from pipeline.training.checkpoint import RunningMetrics
from pipeline.training.dataset import Split, plan_epoch
from pipeline.training.losses import CrossEntropy
from pipeline.training.trainer import Trainer, train_epoch
from tests.small_run import TRAIN, backbone_card, run_card
from tests.training_data import split_of

NORMED = backbone_card("normed").model_copy(update={"timm": "test_resnet", "options": {}})
"""A backbone with convolutions and batch normalisation."""
GPU = torch.device("cuda")


def make_trainer(device: torch.device, precision: Name, *, normed: bool = False, compiled: bool = False) -> Trainer:
    """Return a small model of two branches, always the same at the start."""
    card = run_card(("roi", "extra_roi"))
    if normed:
        card = card.model_copy(update={"backbones": dict.fromkeys(card.backbones, NORMED)})
    params = TRAIN.model_copy(update={"compile": compiled})
    return Trainer(build_run(card, {}).to(device), params, CrossEntropy(), Precision(precision, device.type))


def losses(made: Trainer, split: Split, epochs: int = 2) -> list[float]:
    """Train and return the loss of every epoch."""
    found = []
    for epoch in range(epochs):
        plan = plan_epoch(split.targets, made.params, epoch, weights=None)
        tally = train_epoch(made, split, plan, epoch=epoch, done=RunningMetrics(), on_step=lambda _: None)
        found.append(tally.mean_loss)
    return found


if __name__ == "__main__":
    set_deterministic(1, seed=0)
    samples = split_of(24).resident(GPU, 2**40)
    print(json.dumps([losses(make_trainer(GPU, "bf16", compiled=compiled), samples) for compiled in (False, True)]))  # noqa: T201
