"""RveRNet: one backbone looks at the region of interest, another at the rest of the photo.

Reference:
    arXiv 2407.08257, Figure 1 and section 3.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.models.backbone import Branch
from pipeline.models.numerics import seeded


class RveRNet(nn.Module):
    """Classify a food from complementary views: concatenate the features of the branches, then a head.

    Both branches may be one module with one set of weights. It is then registered as `roi` alone, so that parameters
    and state dict hold it once; `extra_roi` is the same object.
    """

    roi: Branch | None
    extra_roi: Branch | None

    def __init__(self, roi: Branch | None, extra_roi: Branch | None, head: nn.Module) -> None:
        """Join branches (B, 3, H, W) -> (B, D1), (B, D2) and a head (B, D1 + D2) -> (B, K); an absent one adds 0."""
        super().__init__()
        self.roi = roi
        if extra_roi is not None and extra_roi is roi:
            self.__dict__["extra_roi"] = roi  # unregistered: timm's averages would move twice what is listed twice
        else:
            self.extra_roi = extra_roi
        self.head = head

    def forward(
        self, roi: Num[Tensor, "B 3 H W"] | None, extra_roi: Num[Tensor, "B 3 H W"] | None
    ) -> Float[Tensor, "B K"]:
        """Return logits of raw pixels in [0, 255]; the view of an absent branch is not looked at."""
        return self.combine(
            None if self.roi is None else self.roi(roi),
            None if self.extra_roi is None else self.extra_roi(extra_roi),
        )

    def combine(
        self, roi_features: Float[Tensor, "B D1"] | None, extra_roi_features: Float[Tensor, "B D2"] | None
    ) -> Float[Tensor, "B K"]:
        """Return logits of the branches' features; None for an absent branch."""
        present = [features for features in (roi_features, extra_roi_features) if features is not None]
        logits: Tensor = self.head(torch.cat(present, dim=1))
        return logits


def join_branches(roi: Branch | None, extra_roi: Branch | None, *, num_classes: int, hidden: int, seed: int) -> RveRNet:
    """Give branches the head of the paper: Linear-ReLU-Linear on two, one Linear on a lone branch.

    Args:
        roi: Branch of the region of interest.
        extra_roi: Branch of everything else.
        num_classes: K.
        hidden: Units between the two linear layers; 640 in the paper.
        seed: Seed of the head's initialisation.

    Raises:
        ModelError: If both branches are absent.
    """
    widths = [branch.num_features for branch in (roi, extra_roi) if branch is not None]
    if not widths:
        raise ModelError("roi and extra_roi are both none; give at least one branch a backbone")
    with seeded(seed, "head"):
        if len(widths) == 1:
            return RveRNet(roi, extra_roi, nn.Linear(widths[0], num_classes))
        integration = nn.Sequential(nn.Linear(sum(widths), hidden), nn.ReLU(), nn.Linear(hidden, num_classes))
        return RveRNet(roi, extra_roi, integration)
