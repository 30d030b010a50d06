"""The distilled DeiT as the released code had it: without its two trained heads.

It was loaded through a class that knows one classifier, which therefore started at random, on the class token. The
distillation token stays where it was: it takes part in every attention, and only its output is dropped.
"""

from jaxtyping import Float
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn

HEAD_STD = 0.02
"""Spread of a new classifier's weights, cut off at two units: what DeiT draws its own with."""


class ClassTokenDeiT(VisionTransformerDistilled):
    """A distilled DeiT that hands on its class token, through one linear layer where there are logits."""

    def forward_head(self, x: Float[Tensor, "B N D"], pre_logits: bool = False) -> Float[Tensor, "B C"]:  # noqa: FBT001, FBT002 - timm's signature
        """Return logits of the class token, or the token itself; `x` are tokens, the class token first."""
        token: Tensor = self.head_drop(x[:, 0])
        return token if pre_logits else self.head(token)


def renew_head(model: VisionTransformerDistilled) -> None:
    """Replace both heads by a random layer on the class token; a model without classifier hands on the token."""
    model.__class__ = ClassTokenDeiT  # timm's factories choose the class themselves, and nothing else differs
    model.head_dist = nn.Identity()
    if model.num_classes:
        model.head = nn.Linear(model.embed_dim, model.num_classes)
        nn.init.trunc_normal_(model.head.weight, std=HEAD_STD)
        nn.init.zeros_(model.head.bias)
