"""From pixels to logits, each branch on its own so that its features can be reused, and from logits to predictions."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pipeline.arrays import Images, Logits
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.errors import EvaluationError
from pipeline.evaluation.metrics import Predictions
from pipeline.evaluation.perturbation import Branch
from pipeline.models.pixels import to_tensor
from pipeline.models.rvernet import RveRNet


def branches_of(model: RveRNet) -> dict[Branch, nn.Module]:
    """Return the branches a model has, by name."""
    pairs: tuple[tuple[Branch, nn.Module | None], ...] = (("roi", model.roi), ("extra_roi", model.extra_roi))
    return {name: branch for name, branch in pairs if branch is not None}


@torch.inference_mode()
def features_of(branch: nn.Module, images: Images, device: torch.device) -> Float[Tensor, "N D"]:
    """Return what a branch says about raw pictures; stays on the device."""
    features: Tensor = branch(to_tensor(images).to(device))
    return features


@torch.inference_mode()
def combined_logits(
    model: RveRNet, roi: Float[Tensor, "N D1"] | None, extra_roi: Float[Tensor, "N D2"] | None
) -> Logits:
    """Return logits on the CPU from the features of the branches the model has."""
    logits: Logits = model.combine(roi, extra_roi).float().cpu().numpy()
    return logits


def plain_logits(model: RveRNet, batch: SampleBatch, device: torch.device) -> Logits:
    """Return the logits of unperturbed samples."""
    images = {"roi": batch.roi, "extra_roi": batch.extra_roi}
    features = {name: features_of(branch, images[name], device) for name, branch in branches_of(model).items()}
    return combined_logits(model, features.get("roi"), features.get("extra_roi"))


def predict(logits: Logits, sample_ids: Sequence[str]) -> Predictions:
    """Return the class of the highest logit; among equal ones the lowest index.

    Raises:
        EvaluationError: If a logit is not finite; the message names the first such sample.
    """
    wrong = ~np.isfinite(logits).all(axis=1)
    if wrong.any():
        raise EvaluationError(
            f"{sample_ids[int(wrong.argmax())]}: logits are not finite; the run diverged, train it again with a lower "
            "`train.learning_rate`"
        )
    predictions: Predictions = logits.argmax(axis=1)
    return predictions
