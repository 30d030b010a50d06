"""Grad-CAM of every branch of a run; section 4.3 of the paper, Figure 4.

Grad-CAM weighs the features by their mean gradient. Behind attention, whose gradient differs from position to position,
that highlights positions the model ignores; HiResCAM weighs each position by its own gradient. For a CNN that ends in
global average pooling both are the same. The methods are captum's. Target layers are found by what timm's models have
in common: `forward_features`, `feature_info`, `output_fmt`, `num_prefix_tokens`.

Reference:
    Selvaraju et al., arXiv 1610.02391; Draelos and Carin, arXiv 2011.08891.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from jaxtyping import Float, Float32
from torch import Tensor, nn

from pipeline.arrays import Targets
from pipeline.datasets.sample_batch import INPUT_NAMES, InputName, SampleBatch
from pipeline.evaluation.session import branches_of
from pipeline.models.device import to_tensor
from pipeline.models.feature_map import as_feature_map
from pipeline.models.rvernet import RveRNet
from pipeline.runtime.errors import EvaluationError, ModelError


class TargetLayer(NamedTuple):
    """Layer of a backbone whose output Grad-CAM explains."""

    name: str  # `forward_features`, or the name of a submodule
    module: nn.Module | None  # None for the output of `forward_features`


def find_target_layer(backbone: nn.Module, pixels: Float[Tensor, "B 3 H W"]) -> TargetLayer:
    """Return the last layer whose features have positions and reach the output.

    Of a transformer or mixer that is the first norm layer of the last block: behind it positions mix once more, and a
    model that reads its class token ignores the patches. Of any other model it is the output of `forward_features`. It
    is tried on normalised pictures.

    Raises:
        ModelError: If the model has no such layer.
    """
    candidates = []
    blocks = getattr(backbone, "blocks", None)
    if isinstance(blocks, nn.Sequential | nn.ModuleList):
        norm = getattr(blocks[-1], "norm1", None)
        if isinstance(norm, nn.Module):
            candidates.append(TargetLayer(f"blocks.{len(blocks) - 1}.norm1", norm))
    if hasattr(backbone, "forward_features"):
        candidates.append(TargetLayer("forward_features", None))
    names = [entry["module"] for entry in getattr(backbone, "feature_info", [])]
    candidates += [TargetLayer(name, backbone.get_submodule(name)) for name in reversed(names)]
    for layer in candidates:
        gradient = _gradient_at(backbone, layer, pixels)
        if gradient is not None and gradient.abs().max() > 0:
            return layer
    raise ModelError(
        f"{type(backbone).__name__}: Grad-CAM finds no features with places that reach the output; leave the run out "
        "of stage explain in dvc.yaml"
    )


def _gradient_at(backbone: nn.Module, layer: TargetLayer, pixels: Tensor) -> Tensor | None:
    """Return the gradient of the output in one direction; None where the features have no positions."""
    tap, seen = nn.Identity(), list[Tensor]()
    tap.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.enable_grad(), tap_activations(backbone, layer, tap):
        output = backbone(pixels.detach().requires_grad_())  # also with frozen weights
        if not seen or seen[-1].shape[2] * seen[-1].shape[3] == 1:
            return None
        # Uneven weights: the plain sum of what a norm layer returns is constant.
        direction = torch.linspace(0, 1, output.shape[1], device=output.device)
        return torch.autograd.grad((output * direction).sum(), seen[-1])[0]


@contextmanager
def tap_activations(backbone: nn.Module, layer: TargetLayer, tap: nn.Identity) -> Iterator[None]:
    """Pass the features at a target layer through a tap, which captum hooks, while the block runs."""
    if layer.module is not None:
        hook = layer.module.register_forward_hook(lambda _, __, output: tap_features(tap, output, backbone))
        try:
            yield
        finally:
            hook.remove()
        return
    model: Any = backbone
    plain = model.forward_features
    model.forward_features = lambda *given, **named: tap_features(tap, plain(*given, **named), backbone)
    try:
        yield
    finally:
        del model.forward_features


def tap_features(tap: nn.Identity, features: Any, backbone: nn.Module) -> Any:
    """Pass features, (B, C, h, w), (B, h, w, C) or (B, N, C), through the tap and return them in their own layout.

    The tap gets them as (B, C, h, w) without prefix tokens; it is not called for features without positions.
    """
    if found := as_feature_map(features, backbone):
        plain, restore = found
        return restore(tap(plain))
    return features


Method: TypeAlias = Literal["grad_cam", "hires_cam"]


class BranchHeat(NamedTuple):
    """Heat maps of one branch for the samples of a batch."""

    target_layer: str
    heat: Float32[np.ndarray, "N h w"]
    """At least 0, in units of the logit; on the grid of the features, which covers the whole letterboxed square."""


def grad_cam(
    model: RveRNet, batch: SampleBatch, explained: Targets, device: torch.device, method: Method = "grad_cam"
) -> dict[InputName, BranchHeat]:
    """Return for each branch which positions raised the logit of the class to explain; samples do not mix.

    The model is in eval mode on the device; the batch has at least one sample.

    Raises:
        EvaluationError: If a map is not finite.
        ModelError: If a backbone has no target layer.
    """
    branches = branches_of(model)
    pixels = tuple(to_tensor(getattr(batch, name)).to(device).float().requires_grad_() for name in branches)
    classes, found = torch.from_numpy(explained).to(device), dict[InputName, BranchHeat]()
    for (name, branch), view in zip(branches.items(), pixels, strict=True):
        layer = find_target_layer(branch.backbone, branch.normalise(view[:1].detach()))
        tap = nn.Identity()
        tapped = partial(_tapped_logits, model, name, layer, tap)
        attribution = LayerGradCam if method == "grad_cam" else LayerGradientXActivation
        channels: Tensor = attribution(tapped, tap).attribute(pixels, target=classes)
        heat = channels.sum(dim=1).relu()  # Grad-CAM's channels are summed already
        if not torch.isfinite(heat).all():
            raise EvaluationError(f"heat map of branch {name} is not finite; the run diverged, train it again")
        found[name] = BranchHeat(layer.name, heat.detach().float().cpu().numpy())
    return found


def _tapped_logits(
    model: RveRNet, tapped: InputName, layer: TargetLayer, tap: nn.Identity, *pixels: Float[Tensor, "B _ H W"]
) -> Float[Tensor, "B K"]:
    """Return the logits, with the features of one branch at its target layer passed through a tap."""
    features = dict[InputName, Tensor]()
    for (name, branch), view in zip(branches_of(model).items(), pixels, strict=True):
        # One module may be both branches: tap only the features of this one.
        with tap_activations(branch.backbone, layer, tap) if name == tapped else nullcontext():
            features[name] = branch(view)
    return model.combine(*map(features.get, INPUT_NAMES))
