"""Grad-CAM of one-branch and two-branch runs; section 4.3 of the paper, Figure 4.

Grad-CAM averages the gradient over all places before it weighs the features. Behind attention, whose gradient differs
from place to place, that lights up places the model never looked at; HiResCAM weighs each place by its own gradient.
For a CNN that ends in a global average both are the same. The methods themselves are captum's.

Reference:
    Selvaraju et al., arXiv 1610.02391; Draelos and Carin, arXiv 2011.08891.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from jaxtyping import Float, Float32
from torch import Tensor, nn

from pipeline.arrays import Targets
from pipeline.datasets.sample_batch import SampleBatch, ViewName
from pipeline.evaluation.session import branches_of
from pipeline.models.device import to_tensor
from pipeline.models.rvernet import RveRNet
from pipeline.runtime.errors import EvaluationError, ModelError

# Where Grad-CAM looks into a backbone: the last features that still have places and still decide.
#
# Works for any timm model by what timm's models have in common: `forward_features`, `feature_info`, `output_fmt`,
# `num_prefix_tokens`.


TOKENS, MAP = 3, 4
"""Dimensions of (B, N, D) tokens and of feature maps."""
MOST_PREFIX_TOKENS = 8
"""Class, distillation and register tokens in front of the patches, where timm does not say how many."""


class TargetLayer(NamedTuple):
    """One place in a backbone where features pass."""

    name: str
    """`forward_features`, or the name of a submodule whose output it is."""
    module: nn.Module | None
    """None is what `forward_features` returns."""


class ActivationTap(nn.Module):
    """A window for captum, which reads feature maps (B, C, h, w) only."""

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return the features as they are."""
        return features


def find_target_layer(backbone: nn.Module, pixels: Float[Tensor, "B 3 H W"]) -> TargetLayer:
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


def _candidates(backbone: nn.Module) -> Iterator[TargetLayer]:
    blocks = getattr(backbone, "blocks", None)
    if isinstance(blocks, nn.Sequential | nn.ModuleList):
        norm = getattr(blocks[-1], "norm1", None)
        if isinstance(norm, nn.Module):
            yield TargetLayer(f"blocks.{len(blocks) - 1}.norm1", norm)
    if hasattr(backbone, "forward_features"):
        yield TargetLayer("forward_features", None)
    for entry in reversed(list(getattr(backbone, "feature_info", []))):
        yield TargetLayer(entry["module"], backbone.get_submodule(entry["module"]))


def _gradient_at(backbone: nn.Module, seam: TargetLayer, pixels: Tensor) -> Tensor | None:
    """Return the gradient of the output in one direction; None where there are no features with places."""
    lens, seen = ActivationTap(), []
    lens.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.enable_grad(), tap_activations(backbone, seam, lens):
        output = backbone(pixels.detach().requires_grad_())  # so that frozen weights are no obstacle
        if not seen or seen[-1].shape[2] * seen[-1].shape[3] == 1:
            return None
        # Uneven weights: the plain sum of what a norm layer returns is constant.
        direction = torch.linspace(0, 1, output.shape[1], device=output.device)
        return torch.autograd.grad((output * direction).sum(), seen[-1])[0]


@contextmanager
def tap_activations(backbone: nn.Module, seam: TargetLayer, lens: ActivationTap) -> Iterator[None]:
    """Let the features at a seam pass through a lens while the block runs."""
    if seam.module is not None:
        hook = seam.module.register_forward_hook(lambda _, __, output: tap_features(lens, output, backbone))
        try:
            yield
        finally:
            hook.remove()
        return
    model: Any = backbone
    plain = model.forward_features
    model.forward_features = lambda *given, **named: tap_features(lens, plain(*given, **named), backbone)
    try:
        yield
    finally:
        del model.forward_features


def tap_features(lens: ActivationTap, features: Any, backbone: nn.Module) -> Any:
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


Method: TypeAlias = Literal["grad_cam", "hires_cam"]


class BranchHeat(NamedTuple):
    """What one branch looked at, for every sample of a batch."""

    target_layer: str
    """Features the map is made of."""
    heat: Float32[np.ndarray, "N h w"]
    """At least 0, in units of the logit; on the grid of the features, which covers the whole letterboxed square."""


class CamRequest(NamedTuple):
    """What is asked of a run."""

    model: RveRNet
    names: tuple[ViewName, ...]
    """Branches the model has."""
    pixels: tuple[Tensor, ...]
    """Views by branch."""
    classes: Tensor
    """Class to explain, by sample."""
    method: Method


def grad_cam(
    model: RveRNet, batch: SampleBatch, explained: Targets, device: torch.device, method: Method = "grad_cam"
) -> dict[ViewName, BranchHeat]:
    """Say for each branch which places raised the logit of a class; samples do not mix.

    Args:
        model: Run in eval mode, on `device`.
        batch: Samples, at least one.
        explained: Class to explain, by sample.
        device: Where the model is.
        method: How gradients weigh features.

    Raises:
        EvaluationError: If a map is not finite.
        ModelError: If a backbone has no features with places that reach its output.
    """
    views = {"roi": batch.roi, "extra_roi": batch.extra_roi}
    branches = branches_of(model)
    pixels = tuple(to_tensor(views[name]).to(device).float().requires_grad_() for name in branches)
    question = CamRequest(model, tuple(branches), pixels, torch.from_numpy(explained).to(device), method)
    return {name: _heat(question, name, branch) for name, branch in branches.items()}


def _heat(question: CamRequest, name: ViewName, branch: Any) -> BranchHeat:
    sample = (question.pixels[question.names.index(name)][:1] - branch.mean) / branch.std
    seam, lens = find_target_layer(branch.backbone, sample), ActivationTap()

    def logits(*pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
        features = {}
        for other, view in zip(question.names, pixels, strict=True):
            # One module may be both branches: the lens is to see this one's features alone.
            with tap_activations(branch.backbone, seam, lens) if other == name else nullcontext():
                features[other] = branches_of(question.model)[other](view)
        return question.model.combine(features.get("roi"), features.get("extra_roi"))

    attribution = LayerGradCam if question.method == "grad_cam" else LayerGradientXActivation
    channels: Tensor = attribution(logits, lens).attribute(question.pixels, target=question.classes)
    heat = channels.sum(dim=1).relu()  # Grad-CAM's channels are summed already
    if not torch.isfinite(heat).all():
        raise EvaluationError(f"heat map of branch {name} is not finite; the run diverged, train it again")
    return BranchHeat(seam.name, heat.detach().float().cpu().numpy())
