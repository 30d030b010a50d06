"""What a student makes small: the loss on labels for its class head, the loss on its teacher for the other.

Reference:
    Touvron et al., Training data-efficient image transformers & distillation through attention, arXiv 2012.12877,
    equations 2 and 3.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.models.package import Distillation
from pipeline.models.rvernet import RveRNet
from pipeline.models.student import split_heads
from pipeline.training.batches import Batch
from pipeline.training.objective import CrossEntropy, Scored


class Distilling:
    """Hard or soft distillation through a token.

    The teacher sees the very pictures that the student sees, flips included ("consistent teaching", arXiv 2106.05237),
    with its batch statistics and dropout as in use, and never changes. Where classes are weighed against each other, a
    sample's target weighs both of its losses.
    """

    def __init__(self, labelled: CrossEntropy, teacher: RveRNet, how: Distillation) -> None:
        """Join the loss on labels, a model on the student's device, and the way of teaching."""
        self.labelled, self.how = labelled, how
        self.teacher = teacher.requires_grad_(requires_grad=False).eval()

    def __call__(self, model: RveRNet, batch: Batch) -> Scored:
        """Run a student in training mode, and its teacher, on a batch; predictions are those of both heads' mean."""
        by_class, distilled = split_heads(model(batch.roi, batch.extra_roi))
        with torch.no_grad():
            taught = self.teacher(batch.roi, batch.extra_roi)
        told = self.labelled.losses(by_class, batch.targets)
        shown = self._from_teacher(distilled.float(), taught.float()) * self._weights(batch.targets)
        losses = (1 - self.how.alpha) * told + self.how.alpha * shown
        return Scored(losses, (by_class + distilled) / 2)

    def weigh(self, targets: Int64[Tensor, " B"]) -> float:
        """Return the sum of the targets' class weights."""
        return self.labelled.weigh(targets)

    def _from_teacher(self, student: Float[Tensor, "B K"], teacher: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
        if self.how.kind == "hard":
            return nn.functional.cross_entropy(student, teacher.argmax(dim=1), reduction="none")
        return soft_losses(student, teacher, self.how.temperature)

    def _weights(self, targets: Int64[Tensor, " B"]) -> Float[Tensor, " B"] | float:
        weights = self.labelled.weights
        return 1.0 if weights is None else weights.to(targets.device)[targets]


def soft_losses(
    student: Float[Tensor, "B K"], teacher: Float[Tensor, "B K"], temperature: float
) -> Float[Tensor, " B"]:
    """Return the divergence of the student from the teacher by sample, in nats.

    Logits of both are divided by the temperature T; times T^2, gradients keep their size whatever T is. DeiT's released
    code also divides by the number of classes, which its paper does not.
    """
    wanted, said = (nn.functional.log_softmax(logits / temperature, dim=1) for logits in (teacher, student))
    divergence = nn.functional.kl_div(said, wanted, reduction="none", log_target=True)
    return temperature**2 * divergence.sum(dim=1)
