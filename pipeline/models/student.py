"""A distilled DeiT that learns from labels and from a teacher: one head on each of its two tokens.

Reference:
    Touvron et al., Training data-efficient image transformers & distillation through attention, arXiv 2012.12877.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.backbone import build_backbone, create_timm_model
from pipeline.models.card import BackboneCard
from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams


class TwoHeadedDeiT(VisionTransformerDistilled):
    """Hands on the logits of both heads side by side while it trains, and their mean, as timm has it, otherwise."""

    def forward_head(self, x: Float[Tensor, "B N D"], pre_logits: bool = False) -> Float[Tensor, "B C"]:  # noqa: FBT001, FBT002 - timm's signature
        """Return logits of `x`, tokens with the class and the distillation token first; C is K, in training 2 K."""
        logits: Tensor | tuple[Tensor, Tensor] = super().forward_head(x, pre_logits)
        return torch.cat(logits, dim=1) if isinstance(logits, tuple) else logits


def build_student(
    card: BackboneCard, params: TrainParams, *, image_size: int, num_classes: int, tensors: dict[str, Tensor] | None
) -> RveRNet:
    """Build a student on the ROI, which needs no head beside its own two.

    Args:
        card: Backbone with a distillation token.
        params: Normalisation is used; what a branch hands on is fixed here.
        image_size: Side of the pictures in pixels.
        num_classes: K.
        tensors: Pre-trained state dict of any number of classes, whose heads are drawn anew; None for random weights.

    Raises:
        ModelError: If the backbone cannot be built, or has no distillation token; see `check_student`.
    """
    classifier = card.model_copy(update={"options": card.options | {"num_classes": num_classes}})
    both = params.model_copy(update={"features": "logits", "deit_distilled_head": "average"})
    branch = build_backbone(classifier, both, image_size=image_size, tensors=tensors)
    model = branch.backbone
    if not isinstance(model, VisionTransformerDistilled):
        raise ModelError(f"backbone {card.name!r} ({card.timm}) has no distillation token")
    model.__class__ = TwoHeadedDeiT  # timm's factories choose the class themselves
    model.set_distilled_training(enable=True)
    return RveRNet(branch, None, nn.Identity())


def split_heads(logits: Float[Tensor, "B C"]) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
    """Return the logits of the class head and of the distillation head of a student in training."""
    by_class, distilled = logits.chunk(2, dim=1)
    return by_class, distilled


def check_student(card: BackboneCard, others: Iterable[BackboneCard]) -> None:
    """Refuse a backbone that cannot be a student, before anything is trained.

    Args:
        card: Backbone that is to learn.
        others: Those that could be chosen instead.

    Raises:
        ModelError: If it has no distillation token; the message names those of the others that have.
    """
    if not _has_token(card):
        valid = ", ".join(sorted(other.name for other in others if _has_token(other))) or "none of `backbones`"
        raise ModelError(
            f"params.yaml: distill.student: {card.name!r} ({card.timm}) has no distillation token; choose {valid}"
        )


def _has_token(card: BackboneCard) -> bool:
    if card.timm is None:
        return False
    with torch.device("meta"):  # no weights are drawn
        return isinstance(create_timm_model(card.timm, card.options), VisionTransformerDistilled)
