"""Where Grad-CAM looks into a backbone: the last features that still have places and still decide.

Works for any timm model by what timm's models have in common: `forward_features`, `feature_info`, `output_fmt`,
`num_prefix_tokens`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pipeline.errors import ModelError

TOKENS, MAP = 3, 4
"""Dimensions of (B, N, D) tokens and of feature maps."""
MOST_PREFIX_TOKENS = 8
"""Class, distillation and register tokens in front of the patches, where timm does not say how many."""


class Seam(NamedTuple):
    """One place in a backbone where features pass."""

    name: str
    """`forward_features`, or the name of a submodule whose output it is."""
    module: nn.Module | None
    """None is what `forward_features` returns."""


class Lens(nn.Module):
    """A window for captum, which reads feature maps (B, C, h, w) only."""

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return the features as they are."""
        return features


def find_seam(backbone: nn.Module, pixels: Float[Tensor, "B 3 H W"]) -> Seam:
    """Return the last place whose features have places and reach the output through them.

    Of a transformer or mixer that is the first norm layer of the last block: behind it places mix once more, and a
    model that reads its class token ignores the patches altogether. Of any other model it is what `forward_features`
    returns.

    Args:
        backbone: timm model.
        pixels: Normalised pictures to try it on.

    Raises:
        ModelError: If the model has no such place.
    """
    for seam in _candidates(backbone):
        gradient = _gradient_at(backbone, seam, pixels)
        if gradient is not None and gradient.abs().max() > 0:
            return seam
    raise ModelError(
        f"{type(backbone).__name__}: Grad-CAM finds no features with places that reach the output; leave the run out "
        "of stage explain in dvc.yaml"
    )


def _candidates(backbone: nn.Module) -> Iterator[Seam]:
    blocks = getattr(backbone, "blocks", None)
    if isinstance(blocks, nn.Sequential | nn.ModuleList):
        norm = getattr(blocks[-1], "norm1", None)
        if isinstance(norm, nn.Module):
            yield Seam(f"blocks.{len(blocks) - 1}.norm1", norm)
    if hasattr(backbone, "forward_features"):
        yield Seam("forward_features", None)
    for entry in reversed(list(getattr(backbone, "feature_info", []))):
        yield Seam(entry["module"], backbone.get_submodule(entry["module"]))


def _gradient_at(backbone: nn.Module, seam: Seam, pixels: Tensor) -> Tensor | None:
    """Return the gradient of the output in one direction; None where there are no features with places."""
    lens, seen = Lens(), []
    lens.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.enable_grad(), looking_through(backbone, seam, lens):
        output = backbone(pixels.detach().requires_grad_())  # so that frozen weights are no obstacle
        if not seen or seen[-1].shape[2] * seen[-1].shape[3] == 1:
            return None
        # Uneven weights: the plain sum of what a norm layer returns is constant.
        direction = torch.linspace(0, 1, output.shape[1], device=output.device)
        return torch.autograd.grad((output * direction).sum(), seen[-1])[0]


@contextmanager
def looking_through(backbone: nn.Module, seam: Seam, lens: Lens) -> Iterator[None]:
    """Let the features at a seam pass through a lens while the block runs."""
    if seam.module is not None:
        hook = seam.module.register_forward_hook(lambda _, __, output: pass_through(lens, output, backbone))
        try:
            yield
        finally:
            hook.remove()
        return
    model: Any = backbone
    plain = model.forward_features
    model.forward_features = lambda *given, **named: pass_through(lens, plain(*given, **named), backbone)
    try:
        yield
    finally:
        del model.forward_features


def pass_through(lens: Lens, features: Any, backbone: nn.Module) -> Any:
    """Show features to the lens as (B, C, h, w) and return them in their own layout.

    Args:
        lens: Sees the features; prefix tokens go past it. It sees nothing of features without places.
        features: (B, C, h, w), (B, h, w, C) or (B, N, C).
        backbone: Model they come from, which says how they are laid out.
    """
    if isinstance(features, Tensor) and features.ndim == MAP:
        if str(getattr(backbone, "output_fmt", "NCHW")).endswith("NHWC"):
            return lens(features.movedim(3, 1)).movedim(1, 3)
        return lens(features)
    grid = grid_of(backbone, features.shape[1]) if isinstance(features, Tensor) and features.ndim == TOKENS else None
    if grid is None:
        return features
    prefix = features.shape[1] - grid[0] * grid[1]
    seen = lens(features[:, prefix:].transpose(1, 2).unflatten(2, grid))
    return torch.cat([features[:, :prefix], seen.flatten(2).transpose(1, 2)], dim=1)


def grid_of(backbone: nn.Module, tokens: int) -> tuple[int, int] | None:
    """Return rows and columns of patches among tokens, or None if they are no grid behind a few prefix tokens."""
    known = getattr(getattr(backbone, "patch_embed", None), "grid_size", None)
    if known is not None and tokens - math.prod(known) == getattr(backbone, "num_prefix_tokens", 0):
        return int(known[0]), int(known[1])
    for prefix in range(min(MOST_PREFIX_TOKENS, tokens - 1) + 1):
        side = math.isqrt(tokens - prefix)
        if side * side == tokens - prefix:
            return side, side
    return None
