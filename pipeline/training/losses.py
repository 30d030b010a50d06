"""Training objectives: cross-entropy with label smoothing and class weights, distillation; temperature scaling.

Reference:
    Touvron et al., Training data-efficient image transformers & distillation through attention, arXiv 2012.12877,
    equations 2 and 3.
"""

import math
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.models.artifact import Distillation
from pipeline.models.rvernet import RveRNet, split_heads
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import TrainingError
from pipeline.training.dataset import Batch

ClassWeights: TypeAlias = Float[Tensor, " K"]  # weight of a sample of each class, or how often it is drawn


class NonFiniteLossError(TrainingError):
    """Losses of a batch are not finite; `rows` of the split, which the caller maps to sample ids."""

    def __init__(self, rows: list[int]) -> None:
        """Take the rows."""
        super().__init__(f"the loss of rows {rows} is not finite")
        self.rows = rows


class LossOutput(NamedTuple):
    """Losses and logits of a batch."""

    losses: Float[Tensor, " B"]  # by sample, in fp32 or fp64; the loss of a step is their sum over its normalizer
    logits: Float[Tensor, "B K"]


class CrossEntropy:
    """Cross-entropy in nats, as of `torch.nn.CrossEntropyLoss`; without weights every sample counts as 1."""

    def __init__(self, *, smoothing: float = 0.0, weights: ClassWeights | None = None) -> None:
        """Take the share in [0, 1) of a target's probability that is spread evenly over all classes, and weights."""
        self.smoothing, self.weights = smoothing, weights

    def __call__(self, model: RveRNet, batch: Batch) -> LossOutput:
        """Run a model on a batch."""
        logits: Tensor = model(*batch.inputs)
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

    The effective number of n samples is (1 - beta^n) / (1 - beta), with beta in [0, 1); 0 weighs all classes alike. A
    category of 3 samples outweighs one of 1,000 by 333 under inverse frequency, the limit of beta to 1, by 211 at beta
    0.999 and by 34 at 0.99. Cui et al., Class-Balanced Loss Based on Effective Number of Samples, arXiv 1901.05555.
    """
    counts = torch.bincount(targets, minlength=classes).double()
    weights = (1 - beta) / (1 - beta ** counts.clamp(min=1))
    return (weights * counts.sum() / (weights @ counts)).float()


def make_objective(params: TrainParams, weights: ClassWeights | None) -> CrossEntropy:
    """Return the cross-entropy of a recipe; `weights` are used where the loss balances the classes."""
    return CrossEntropy(smoothing=params.label_smoothing, weights=weights if params.balance == "loss" else None)


class DistillationLoss:
    """Hard or soft distillation through a token: labels for the class head, the teacher for the distillation head.

    The teacher is in eval mode and sees the student's pictures, flips included ("consistent teaching", arXiv
    2106.05237). Class weights apply to both losses of a sample.
    """

    def __init__(self, cross_entropy: CrossEntropy, teacher: RveRNet, settings: Distillation) -> None:
        """Join the loss on labels, a teacher on the student's device, and the kind of distillation."""
        self.cross_entropy, self.settings = cross_entropy, settings
        self.teacher = teacher.requires_grad_(requires_grad=False).eval()

    def __call__(self, model: RveRNet, batch: Batch) -> LossOutput:
        """Run a student in training mode, and its teacher, on a batch; the logits are the mean of both heads."""
        class_logits, distilled_logits = split_heads(model(*batch.inputs))
        with torch.no_grad():
            teacher_logits = self.teacher(*batch.inputs).float()
        label_losses = self.cross_entropy.losses(class_logits, batch.targets)
        if self.settings.kind == "hard":
            targets = teacher_logits.argmax(dim=1)
            teacher_losses = nn.functional.cross_entropy(distilled_logits.float(), targets, reduction="none")
        else:
            teacher_losses = soft_distillation_loss(distilled_logits.float(), teacher_logits, self.settings.temperature)
        weights = self.cross_entropy.weights
        if weights is not None:
            teacher_losses = teacher_losses * weights.to(batch.targets.device)[batch.targets]
        losses = (1 - self.settings.alpha) * label_losses + self.settings.alpha * teacher_losses
        return LossOutput(losses, (class_logits + distilled_logits) / 2)

    def normalizer(self, targets: Int64[Tensor, " B"]) -> float:
        """Return the sum of the targets' class weights."""
        return self.cross_entropy.normalizer(targets)


Objective: TypeAlias = CrossEntropy | DistillationLoss


def soft_distillation_loss(
    student: Float[Tensor, "B K"], teacher: Float[Tensor, "B K"], temperature: float
) -> Float[Tensor, " B"]:
    """Return the KL divergence of the student from the teacher by sample, in nats.

    Logits of both are divided by the temperature T, and the result is scaled by T^2, so that the size of the gradients
    does not depend on T. DeiT's released code also divides by the number of classes; its paper does not.
    """
    expected, actual = (nn.functional.log_softmax(logits / temperature, dim=1) for logits in (teacher, student))
    divergence = nn.functional.kl_div(actual, expected, reduction="none", log_target=True)
    return temperature**2 * divergence.sum(dim=1)


MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-2, 1e2  # a set without errors, or of errors alone, ends at one of them


def fit_temperature(logits: Float[Tensor, "N K"], targets: Int64[Tensor, " N"]) -> float:
    """Return the temperature in [0.01, 100] of least mean negative log-likelihood, to six digits.

    The likelihood is log-concave in 1 / temperature, so bisection of its derivative finds the optimum. The logits are
    finite. Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    scores = logits.double() - logits.double().amax(1, keepdim=True)
    low, high = math.log(1 / MAX_TEMPERATURE), math.log(1 / MIN_TEMPERATURE)
    for _ in range(60):
        middle = (low + high) / 2
        expected = ((scores * math.exp(middle)).softmax(1) * scores).sum(1)
        slope = float((expected - scores.gather(1, targets[:, None])[:, 0]).mean())  # by the inverse temperature
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(f"{math.exp(-(low + high) / 2):.6g}")
