"""Feature maps of timm's backbones, and their means over a region.

Layouts are found by what timm's models have in common: `output_fmt`, `num_prefix_tokens`, `patch_embed.grid_size`.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from pipeline.runtime.errors import ModelError

MOST_PREFIX_TOKENS = 8  # upper bound of class, distillation and register tokens, where timm does not give their number


def grid_of(backbone: nn.Module, tokens: int) -> tuple[int, int] | None:
    """Return rows and columns of the patches among tokens; None if they are no grid behind a few prefix tokens."""
    known = getattr(getattr(backbone, "patch_embed", None), "grid_size", None)
    if known is not None and tokens - math.prod(known) == getattr(backbone, "num_prefix_tokens", 0):
        return int(known[0]), int(known[1])
    for prefix in range(min(MOST_PREFIX_TOKENS, tokens - 1) + 1):
        side = math.isqrt(tokens - prefix)
        if side * side == tokens - prefix:
            return side, side
    return None


def as_feature_map(
    features: Any, backbone: nn.Module
) -> tuple[Float[Tensor, "B D h w"], Callable[[Tensor], Tensor]] | None:
    """Return features, (B, C, h, w), (B, h, w, C) or (B, N, C), as a map, and a function that takes a map back.

    A map has no class, distillation and register tokens. None if the features have no positions.
    """
    match features:
        case Tensor(ndim=4):
            channels_last = str(getattr(backbone, "output_fmt", "NCHW")).endswith("NHWC")
            if channels_last:
                return features.movedim(3, 1), lambda found: found.movedim(1, 3)
            return features, lambda found: found
        case Tensor(ndim=3) if grid := grid_of(backbone, features.shape[1]):
            prefix = features.shape[1] - math.prod(grid)
            cells: Tensor = features[:, prefix:].transpose(1, 2).unflatten(2, grid)  # type: ignore[no-untyped-call]
            return cells, lambda found: torch.cat([features[:, :prefix], found.flatten(2).transpose(1, 2)], dim=1)
    return None


def to_feature_map(features: Any, backbone: nn.Module) -> Float[Tensor, "B D h w"]:
    """Return what `backbone.forward_features` gave as a map; raise `ModelError` if it has no positions."""
    if found := as_feature_map(features, backbone):
        return found[0]
    raise ModelError(f"{type(backbone).__name__} gives no feature map to pool inside a mask; choose another backbone")


def mask_pool(features: Float[Tensor, "B D h w"], masks: Bool[Tensor, "B S S"]) -> Float[Tensor, "B D"]:
    """Return the mean of each map over its mask: a cell counts by its share of masked pixels; zeros without any."""
    cells = functional.adaptive_avg_pool2d(masks[:, None].float(), (features.shape[2], features.shape[3]))
    fewest = 1 / (masks.shape[1] * masks.shape[2])
    shares = cells / cells.sum(dim=(2, 3), keepdim=True).clamp(min=fewest)  # an empty mask stays zeros
    return (features * shares).sum(dim=(2, 3))


def at_every_position(means: Float[Tensor, "B D"], features: Tensor, backbone: nn.Module) -> Tensor:
    """Return features laid out as `features`, (B, C, h, w), (B, h, w, C) or (B, N, C), that are the mean everywhere.

    Prefix tokens are the mean, too. However the backbone's own head pools, it makes of them what it makes of the mean.
    """
    channels_last = features.ndim == 3 or str(getattr(backbone, "output_fmt", "NCHW")).endswith("NHWC")  # noqa: PLR2004
    positions = (1,) * (features.ndim - 2)
    shape = (means.shape[0], *positions, means.shape[1]) if channels_last else (*means.shape, *positions)
    return means.reshape(shape).expand_as(features)
