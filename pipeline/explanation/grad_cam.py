"""Grad-CAM of one-branch and two-branch runs; section 4.3 of the paper, Figure 4.

Reference:
    Selvaraju et al., arXiv 1610.02391; the method itself is captum's.
"""

import functools
from typing import NamedTuple

import numpy as np
import torch
from captum.attr import LayerGradCam
from jaxtyping import Float, Float32
from torch import Tensor

from pipeline.arrays import Targets
from pipeline.datasets.shards import SampleBatch
from pipeline.errors import EvaluationError
from pipeline.evaluation.inference import branches_of
from pipeline.evaluation.perturbation import Branch
from pipeline.explanation.seam import Lens, find_seam, looking_through
from pipeline.models.pixels import to_tensor
from pipeline.models.rvernet import RveRNet


class BranchHeat(NamedTuple):
    """What one branch looked at, for every sample of a batch."""

    seam: str
    """Features the map is made of."""
    heat: Float32[np.ndarray, "N h w"]
    """At least 0, in units of the logit; on the grid of the features, which covers the whole letterboxed square."""


def grad_cam(model: RveRNet, batch: SampleBatch, explained: Targets, device: torch.device) -> dict[Branch, BranchHeat]:
    """Say for each branch which places raised the logit of a class; samples do not mix.

    Args:
        model: Run in eval mode, on `device`.
        batch: Samples, at least one.
        explained: Class to explain, by sample.
        device: Where the model is.

    Raises:
        EvaluationError: If a map is not finite.
        ModelError: If a backbone has no features with places that reach its output.
    """
    views = {"roi": batch.roi, "extra_roi": batch.extra_roi}
    names = tuple(branches_of(model))
    pixels = tuple(to_tensor(views[name]).to(device).float().requires_grad_() for name in names)
    classes = torch.from_numpy(explained).to(device)
    return {name: _heat(model, names, pixels, name, classes) for name in names}


def _heat(
    model: RveRNet, names: tuple[Branch, ...], pixels: tuple[Tensor, ...], name: Branch, classes: Tensor
) -> BranchHeat:
    branch = model.roi if name == "roi" else model.extra_roi
    if branch is None:
        raise EvaluationError(f"the run has no branch {name}")
    sample = ((pixels[names.index(name)][:1] - branch.mean) / branch.std).detach()
    seam, lens = find_seam(branch.backbone, sample), Lens()
    with looking_through(branch.backbone, seam, lens):
        method = LayerGradCam(functools.partial(_logits, model, names), lens)
        heat = method.attribute(pixels, target=classes, relu_attributions=True)[:, 0]
    if not torch.isfinite(heat).all():
        raise EvaluationError(f"heat map of branch {name} is not finite; the run diverged, train it again")
    return BranchHeat(seam.name, heat.detach().float().cpu().numpy())


def _logits(model: RveRNet, names: tuple[Branch, ...], *pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
    views = dict(zip(names, pixels, strict=True))
    logits: Tensor = model(views.get("roi"), views.get("extra_roi"))
    return logits
