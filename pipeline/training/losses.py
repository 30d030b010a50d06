"""What training makes small: cross-entropy with label smoothing, and classes weighed against each other."""

from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.models.artifact import Distillation
from pipeline.models.rvernet import RveRNet, split_heads
from pipeline.params.model import TrainParams
from pipeline.training.dataset import Batch

ClassWeights: TypeAlias = Float[Tensor, " K"]
"""What a sample of each class counts, or how often it is drawn."""


class LossOutput(NamedTuple):
    """What a model says of a batch, and what that costs."""

    losses: Float[Tensor, " B"]
    """By sample, in fp32 or fp64; the loss of a step is their sum over its samples' weights."""
    logits: Float[Tensor, "B K"]
    """That predictions are made from."""


@runtime_checkable
class Objective(Protocol):
    """A loss that may look at more than logits, as distillation does."""

    def __call__(self, model: RveRNet, batch: Batch) -> LossOutput:
        """Run a model on a batch."""

    def normalizer(self, targets: Int64[Tensor, " B"]) -> float:
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

    def __call__(self, model: RveRNet, batch: Batch) -> LossOutput:
        """Run a model on a batch."""
        logits: Tensor = model(batch.roi, batch.extra_roi)
        return LossOutput(self.losses(logits, batch.targets), logits)

    def losses(self, logits: Float[Tensor, "B K"], targets: Int64[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Return the loss of each sample, in fp32, or in fp64 where the logits are."""
        weights = None if self.weights is None else self.weights.to(logits.device)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return nn.functional.cross_entropy(
            logits, targets, weight=weights, label_smoothing=self.smoothing, reduction="none"
        )

    def normalizer(self, targets: Int64[Tensor, " B"]) -> float:
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


# What a student makes small: the loss on labels for its class head, the loss on its teacher for the other.
#
# Reference:
#     Touvron et al., Training data-efficient image transformers & distillation through attention, arXiv 2012.12877,
#     equations 2 and 3.


class DistillationLoss:
    """Hard or soft distillation through a token.

    The teacher sees the very pictures that the student sees, flips included ("consistent teaching", arXiv 2106.05237),
    with its batch statistics and dropout as in use, and never changes. Where classes are weighed against each other, a
    sample's target weighs both of its losses.
    """

    def __init__(self, labelled: CrossEntropy, teacher: RveRNet, how: Distillation) -> None:
        """Join the loss on labels, a model on the student's device, and the way of teaching."""
        self.labelled, self.how = labelled, how
        self.teacher = teacher.requires_grad_(requires_grad=False).eval()

    def __call__(self, model: RveRNet, batch: Batch) -> LossOutput:
        """Run a student in training mode, and its teacher, on a batch; predictions are those of both heads' mean."""
        by_class, distilled = split_heads(model(batch.roi, batch.extra_roi))
        with torch.no_grad():
            taught = self.teacher(batch.roi, batch.extra_roi)
        told = self.labelled.losses(by_class, batch.targets)
        shown = self._from_teacher(distilled.float(), taught.float()) * self._weights(batch.targets)
        losses = (1 - self.how.alpha) * told + self.how.alpha * shown
        return LossOutput(losses, (by_class + distilled) / 2)

    def normalizer(self, targets: Int64[Tensor, " B"]) -> float:
        """Return the sum of the targets' class weights."""
        return self.labelled.normalizer(targets)

    def _from_teacher(self, student: Float[Tensor, "B K"], teacher: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
        if self.how.kind == "hard":
            return nn.functional.cross_entropy(student, teacher.argmax(dim=1), reduction="none")
        return soft_distillation_loss(student, teacher, self.how.temperature)

    def _weights(self, targets: Int64[Tensor, " B"]) -> Float[Tensor, " B"] | float:
        weights = self.labelled.weights
        return 1.0 if weights is None else weights.to(targets.device)[targets]


def soft_distillation_loss(
    student: Float[Tensor, "B K"], teacher: Float[Tensor, "B K"], temperature: float
) -> Float[Tensor, " B"]:
    """Return the divergence of the student from the teacher by sample, in nats.

    Logits of both are divided by the temperature T; times T^2, gradients keep their size whatever T is. DeiT's released
    code also divides by the number of classes, which its paper does not.
    """
    wanted, said = (nn.functional.log_softmax(logits / temperature, dim=1) for logits in (teacher, student))
    divergence = nn.functional.kl_div(said, wanted, reduction="none", log_target=True)
    return temperature**2 * divergence.sum(dim=1)
