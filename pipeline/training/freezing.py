"""Branches that stay as they were loaded, while the rest of the model learns."""

from collections.abc import Iterator

from torch import nn

from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams


def frozen_branches(model: RveRNet, params: TrainParams) -> Iterator[nn.Module]:
    """Yield the branches that `freeze` names and the model has."""
    for name, branch in (("roi", model.roi), ("extra_roi", model.extra_roi)):
        if branch is not None and params.freeze in {name, "both"}:
            yield branch


def freeze(model: RveRNet, params: TrainParams) -> None:
    """Take the frozen branches' parameters out of training."""
    for branch in frozen_branches(model, params):
        branch.requires_grad_(requires_grad=False)


def training_mode(model: RveRNet, params: TrainParams) -> None:
    """Turn on dropout and the collection of batch statistics, but not in frozen branches."""
    model.train()
    for branch in frozen_branches(model, params):
        branch.eval()
