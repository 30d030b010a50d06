"""What training makes small: cross-entropy with label smoothing, and classes weighed against each other."""

from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams
from pipeline.training.batches import Batch

ClassWeights: TypeAlias = Float[Tensor, " K"]
"""What a sample of each class counts, or how often it is drawn."""


class Scored(NamedTuple):
    """What a model says of a batch, and what that costs."""

    losses: Float[Tensor, " B"]
    """By sample, in fp32 or fp64; the loss of a step is their sum over its samples' weights."""
    logits: Float[Tensor, "B K"]
    """That predictions are made from."""


@runtime_checkable
class Objective(Protocol):
    """A loss that may look at more than logits, as distillation does."""

    def __call__(self, model: RveRNet, batch: Batch) -> Scored:
        """Run a model on a batch."""

    def weigh(self, targets: Int64[Tensor, " B"]) -> float:
        """Return what the losses of these samples are divided by in all, so that passes add up to their batch."""


class CrossEntropy:
    """Cross-entropy in nats."""

    def __init__(self, *, smoothing: float = 0.0, weights: ClassWeights | None = None) -> None:
        """Set up the loss; it equals `torch.nn.CrossEntropyLoss` of the same settings.

        Args:
            smoothing: Share in [0, 1) of a target's probability spread evenly over all classes.
            weights: Of each class; None counts every sample as 1.
        """
        self.smoothing, self.weights = smoothing, weights

    def __call__(self, model: RveRNet, batch: Batch) -> Scored:
        """Run a model on a batch."""
        logits: Tensor = model(batch.roi, batch.extra_roi)
        return Scored(self.losses(logits, batch.targets), logits)

    def losses(self, logits: Float[Tensor, "B K"], targets: Int64[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Return the loss of each sample, in fp32, or in fp64 where the logits are."""
        weights = None if self.weights is None else self.weights.to(logits.device)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return nn.functional.cross_entropy(
            logits, targets, weight=weights, label_smoothing=self.smoothing, reduction="none"
        )

    def weigh(self, targets: Int64[Tensor, " B"]) -> float:
        """Return the sum of the targets' class weights."""
        return float(len(targets)) if self.weights is None else float(self.weights[targets].sum())


def class_weights(targets: Int64[Tensor, " N"], classes: int, beta: float) -> ClassWeights:
    """Return the inverse of each class's effective number of samples, scaled to a mean of 1 over the samples.

    The effective number of n samples, (1 - beta^n) / (1 - beta), levels off where one more hardly says anything new. A
    category of 3 samples outweighs one of 1,000 by 333 under inverse frequency, the limit of beta to 1, by 211 at beta
    0.999 and by 34 at 0.99.

    Args:
        targets: Classes of the train split.
        classes: K.
        beta: In [0, 1); 0 weighs all classes alike.

    Reference:
        Cui et al., Class-Balanced Loss Based on Effective Number of Samples, arXiv 1901.05555.
    """
    counts = torch.bincount(targets, minlength=classes).double()
    weights = (1 - beta) / (1 - beta ** counts.clamp(min=1))
    return (weights * counts.sum() / (weights @ counts)).float()


def make_objective(params: TrainParams, weights: ClassWeights | None) -> CrossEntropy:
    """Return the loss of a recipe; `weights` is what `class_weights` says, and counts where the loss is to balance."""
    return CrossEntropy(smoothing=params.label_smoothing, weights=weights if params.balance == "loss" else None)
