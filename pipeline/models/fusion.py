"""One backbone on the whole photo that is told the mask: the rival of two branches at half of their cost.

`mask_pool` replaces the backbone's global pooling by two: over the mask and over the rest of the photo, each cell of
the last feature map (of a transformer or mixer its patch tokens) at its share of the region. Each mean then passes the
rest of the backbone's own head, and both are concatenated. Class and distillation tokens are not pooled; they take part
in attention, through which they are trained.

`mask_channel` gives the backbone's first layer a fourth input channel, 1 in the mask and 0 elsewhere, whose weights
start at zero: before the first step the network is the plain backbone on the unmasked photo.
"""

from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from pipeline.datasets.sample_batch import ROI, SURROUNDINGS
from pipeline.models.backbone import Branch
from pipeline.models.feature_map import at_every_position, mask_pool, to_feature_map
from pipeline.runtime.errors import ModelError


class MaskPool(Branch):
    """A backbone whose features are pooled inside the mask and outside it."""

    def __init__(self, backbone: nn.Module, *, num_features: int, **normalisation: tuple[float, ...]) -> None:
        """Take a backbone (B, 3, H, W) -> (B, num_features) whose features have positions; see `Branch`."""
        super().__init__(backbone, num_features=2 * num_features, **normalisation)

    def forward(self, pixels: Num[Tensor, "B 4 H W"]) -> Float[Tensor, "B D"]:
        """Return features of the ROI, then of the surroundings; a region without pixels counts as a mean of zeros."""
        model: Any = self.backbone  # timm's
        features, regions = model.forward_features(self.normalise(pixels)), pixels[:, 3]
        cells = to_feature_map(features, model)
        means = [mask_pool(cells, regions == region) for region in (ROI, SURROUNDINGS)]
        return torch.cat([model.forward_head(at_every_position(mean, features, model)) for mean in means], dim=1)

    def normalise(self, pixels: Num[Tensor, "B 4 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Return the normalised pixels without their regions."""
        return super().normalise(pixels[:, :3])


class MaskChannel(Branch):
    """A backbone with the mask as a fourth input channel."""

    def __init__(self, backbone: nn.Module, *, num_features: int, **normalisation: tuple[float, ...]) -> None:
        """Take a backbone for RGB, (B, 3, H, W) -> (B, num_features), and widen its first layer; see `Branch`.

        Raises:
            ModelError: If timm does not say which layers see the picture, or one is no plain convolution.
        """
        named = getattr(backbone, "pretrained_cfg", {}).get("first_conv") or ()
        layers = [backbone.get_submodule(name) for name in ((named,) if isinstance(named, str) else named)]
        widened = tuple(layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.groups == 1)
        if not layers or len(widened) < len(layers):
            raise ModelError(
                f"{type(backbone).__name__} has no first convolution to give a channel for the mask; choose another "
                "backbone, or mask_pool"
            )
        for layer in widened:
            weight = layer.weight.detach()
            layer.weight = nn.Parameter(torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1))
            layer.in_channels += 1
        super().__init__(backbone, num_features=num_features, **normalisation)
        self.widened = widened  # a tuple, which registers nothing twice

    def normalise(self, pixels: Num[Tensor, "B 4 H W"]) -> Float[Tensor, "B 4 H W"]:
        """Return the normalised pixels with the mask as the last channel, 1 inside and 0 outside."""
        rgb = super().normalise(pixels[:, :3])
        return torch.cat([rgb, (pixels[:, 3:] == ROI).to(rgb.dtype)], dim=1).contiguous(memory_format=self.layout)

    def freeze(self) -> None:
        """Keep all but the widened layers, which would never come to look at the mask."""
        super().freeze()
        for layer in self.widened:
            layer.requires_grad_(requires_grad=True)


def fused_branch(fusion: str) -> type[Branch]:
    """Return the kind of branch of a fusion; ModelError if there is no such fusion."""
    kinds: dict[str, type[Branch]] = {"mask_pool": MaskPool, "mask_channel": MaskChannel}
    if fusion not in kinds:
        raise ModelError(f"{fusion!r} is no fusion of photo and mask; there are {' and '.join(kinds)}")
    return kinds[fusion]
