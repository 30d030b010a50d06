"""RveRNet: one backbone for the region of interest, another for the rest of the photo; the distilled student.

Reference:
    arXiv 2407.08257, Figure 1 and section 3; of the student Touvron et al., arXiv 2012.12877.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Num
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn

from pipeline.models.backbone import Branch, build_backbone, create_timm_model
from pipeline.models.card import BackboneCard
from pipeline.models.device import seeded
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import ModelError


class RveRNet(nn.Module):
    """Classify a food from complementary views: concatenate the features of the branches, then a head.

    Instead of both there may be one branch `photo`, on the whole photo and its regions; see `pipeline.models.fusion`.

    Both branches may be one module with one set of weights. It is then registered as `roi` alone, so that parameters
    and state dict hold it once; `extra_roi` is the same object.
    """

    roi: Branch | None
    extra_roi: Branch | None
    photo: Branch | None

    def __init__(
        self, roi: Branch | None, extra_roi: Branch | None, head: nn.Module, photo: Branch | None = None
    ) -> None:
        """Join branches (B, 3, H, W) -> (B, D1), (B, D2) and a head (B, D1 + D2) -> (B, K); an absent one adds 0.

        `photo` takes (B, 4, H, W).
        """
        super().__init__()
        self.roi, self.photo = roi, photo
        if extra_roi is not None and extra_roi is roi:
            self.__dict__["extra_roi"] = roi  # unregistered: timm's moving average would update it twice
        else:
            self.extra_roi = extra_roi
        self.head = head

    def forward(
        self,
        roi: Num[Tensor, "B 3 H W"] | None,
        extra_roi: Num[Tensor, "B 3 H W"] | None,
        photo: Num[Tensor, "B 4 H W"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """Return logits of raw pixels in [0, 255]; the input of an absent branch is not looked at."""
        return self.combine(
            None if self.roi is None else self.roi(roi),
            None if self.extra_roi is None else self.extra_roi(extra_roi),
            None if self.photo is None else self.photo(photo),
        )

    def combine(
        self,
        roi_features: Float[Tensor, "B D1"] | None,
        extra_roi_features: Float[Tensor, "B D2"] | None,
        photo_features: Float[Tensor, "B D3"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """Return logits of the branches' features; None for an absent branch."""
        given = (roi_features, extra_roi_features, photo_features)
        logits: Tensor = self.head(torch.cat([features for features in given if features is not None], dim=1))
        return logits


def join_branches(  # noqa: PLR0913 - the branches, and what their head depends on
    roi: Branch | None,
    extra_roi: Branch | None,
    photo: Branch | None = None,
    *,
    num_classes: int,
    hidden: int,
    seed: int,
) -> RveRNet:
    """Give branches the head of the paper: Linear-ReLU-Linear on two, one Linear on a lone cut-out's branch.

    The branch of a whole photo has the head of two. `hidden` are the units between the two linear layers, 640 in the
    paper; `seed` is that of the head's initialisation.

    Raises:
        ModelError: If all branches are absent.
    """
    widths = [branch.num_features for branch in (roi, extra_roi, photo) if branch is not None]
    if not widths:
        raise ModelError("roi and extra_roi are both none; give at least one branch a backbone")
    with seeded(seed, "head"):
        if len(widths) == 1 and photo is None:
            return RveRNet(roi, extra_roi, nn.Linear(widths[0], num_classes))
        integration = nn.Sequential(nn.Linear(sum(widths), hidden), nn.ReLU(), nn.Linear(hidden, num_classes))
        return RveRNet(roi, extra_roi, integration, photo)


class TwoHeadedDeiT(VisionTransformerDistilled):
    """Returns the logits of both heads side by side in training, and their mean otherwise."""

    def forward_head(self, x: Float[Tensor, "B N D"], pre_logits: bool = False) -> Float[Tensor, "B C"]:  # noqa: FBT001, FBT002 - timm's signature
        """Return logits of `x`, tokens with the class and the distillation token first; C is K, in training 2 K."""
        logits: Tensor | tuple[Tensor, Tensor] = super().forward_head(x, pre_logits)
        return torch.cat(logits, dim=1) if isinstance(logits, tuple) else logits


def build_student(
    card: BackboneCard, params: TrainParams, *, image_size: int, num_classes: int, tensors: dict[str, Tensor] | None
) -> RveRNet:
    """Build a student on the ROI; its heads are its own two.

    Of `params` normalisation is used; features are fixed here. `tensors` are a pre-trained state dict of any number of
    classes, whose heads are drawn anew; None for random weights.

    Raises:
        ModelError: If the backbone cannot be built, or has no distillation token; see `check_student`.
    """
    classifier = card.model_copy(update={"options": card.options | {"num_classes": num_classes}})
    both = params.model_copy(update={"features": "logits", "deit_distilled_head": "average"})
    branch = build_backbone(classifier, both, image_size=image_size, tensors=tensors)
    model = branch.backbone
    if not isinstance(model, VisionTransformerDistilled):
        raise ModelError(f"backbone {card.name!r} ({card.timm}) has no distillation token")
    model.__class__ = TwoHeadedDeiT  # timm's factories choose the class
    model.set_distilled_training(enable=True)
    return RveRNet(branch, None, nn.Identity())


def split_heads(logits: Float[Tensor, "B C"]) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
    """Return the logits of the class head and of the distillation head of a student in training."""
    by_class, distilled = logits.chunk(2, dim=1)
    return by_class, distilled


def check_student(card: BackboneCard, others: Iterable[BackboneCard]) -> None:
    """Raise `ModelError`, which names those of the others that could, unless a backbone has a distillation token."""
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
