"""Grad-CAM of one-branch and two-branch runs; section 4.3 of the paper, Figure 4.

Grad-CAM averages the gradient over all places before it weighs the features. Behind attention, whose gradient differs
from place to place, that lights up places the model never looked at; HiResCAM weighs each place by its own gradient.
For a CNN that ends in a global average both are the same. The methods themselves are captum's.

Reference:
    Selvaraju et al., arXiv 1610.02391; Draelos and Carin, arXiv 2011.08891.
"""

from contextlib import nullcontext
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from jaxtyping import Float, Float32
from torch import Tensor

from pipeline.arrays import Targets
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.errors import EvaluationError
from pipeline.evaluation.inference import branches_of
from pipeline.evaluation.perturbation import Branch
from pipeline.explanation.seam import Lens, find_seam, looking_through
from pipeline.models.pixels import to_tensor
from pipeline.models.rvernet import RveRNet

Method: TypeAlias = Literal["grad_cam", "hires_cam"]


class BranchHeat(NamedTuple):
    """What one branch looked at, for every sample of a batch."""

    seam: str
    """Features the map is made of."""
    heat: Float32[np.ndarray, "N h w"]
    """At least 0, in units of the logit; on the grid of the features, which covers the whole letterboxed square."""


class Question(NamedTuple):
    """What is asked of a run."""

    model: RveRNet
    names: tuple[Branch, ...]
    """Branches the model has."""
    pixels: tuple[Tensor, ...]
    """Views by branch."""
    classes: Tensor
    """Class to explain, by sample."""
    method: Method


def grad_cam(
    model: RveRNet, batch: SampleBatch, explained: Targets, device: torch.device, method: Method = "grad_cam"
) -> dict[Branch, BranchHeat]:
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
    question = Question(model, tuple(branches), pixels, torch.from_numpy(explained).to(device), method)
    return {name: _heat(question, name, branch) for name, branch in branches.items()}


def _heat(question: Question, name: Branch, branch: Any) -> BranchHeat:
    sample = (question.pixels[question.names.index(name)][:1] - branch.mean) / branch.std
    seam, lens = find_seam(branch.backbone, sample), Lens()

    def logits(*pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
        features = {}
        for other, view in zip(question.names, pixels, strict=True):
            # One module may be both branches: the lens is to see this one's features alone.
            with looking_through(branch.backbone, seam, lens) if other == name else nullcontext():
                features[other] = branches_of(question.model)[other](view)
        return question.model.combine(features.get("roi"), features.get("extra_roi"))

    attribution = LayerGradCam if question.method == "grad_cam" else LayerGradientXActivation
    channels: Tensor = attribution(logits, lens).attribute(question.pixels, target=question.classes)
    heat = channels.sum(dim=1).relu()  # Grad-CAM's channels are summed already
    if not torch.isfinite(heat).all():
        raise EvaluationError(f"heat map of branch {name} is not finite; the run diverged, train it again")
    return BranchHeat(seam.name, heat.detach().float().cpu().numpy())
