"""What a person gets to see of an answer: the mask over the photo, the cut-outs, and where each branch looked."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from pipeline.arrays import Image, Mask
from pipeline.datasets.sample_batch import SampleBatch, ViewName
from pipeline.evaluation.grad_cam import Method, grad_cam
from pipeline.evaluation.heat_maps import blend_heat, share_inside
from pipeline.imaging.drawing import overlay
from pipeline.inference.prediction import Prediction
from pipeline.inference.predictor import Run
from pipeline.inference.regions import Region

SHOWN_SIDE = 320
"""Least side in pixels of cut-outs and heat maps; smaller ones are enlarged by whole factors."""


# Letters of their own: jaxtyping compares equal letters within a call.
Shown: TypeAlias = UInt8[np.ndarray, "s s 3"]
"""Square picture at the size a person sees."""
ShownMask: TypeAlias = Bool[np.ndarray, "s s"]
"""Square mask at that size."""


class BranchPicture(NamedTuple):
    """Where one branch looked in one region."""

    branch: ViewName
    picture: Image
    """View in gray, heat in colour, outline of the region in white."""
    inside: float | None
    """Share in [0, 1] of the heat on the region of interest; None where there is no heat."""


def explaining_pictures(photo: Image, region: Region, prediction: Prediction) -> Iterator[tuple[str, Image]]:
    """Yield name and pixels of what explains an answer: overlay and mask at full size, both views as the run saw them.

    Args:
        photo: Photo at full size.
        region: Region of interest.
        prediction: What a run says about it.
    """
    yield "overlay", overlay(photo, region.mask)
    yield "mask", mask_picture(region.mask)
    yield "roi", prediction.roi
    yield "extra_roi", prediction.extra_roi


def mask_picture(mask: Mask) -> Image:
    """Return a mask as black and white."""
    return np.repeat(mask[..., np.newaxis], 3, axis=2).astype(np.uint8) * np.uint8(255)


def heat_pictures(
    run: Run, batch: SampleBatch, predictions: Sequence[Prediction], method: Method = "hires_cam"
) -> tuple[tuple[BranchPicture, ...], ...]:
    """Return for each sample where each branch of a run looked when it made its first guess.

    Args:
        run: The run that made the predictions.
        batch: Its views.
        predictions: What it said about them.
        method: How gradients weigh features.

    Raises:
        EvaluationError: If a map is not finite.
        ModelError: If Grad-CAM cannot look into a backbone.
    """
    guesses = np.array([int(prediction.logits.argmax()) for prediction in predictions], np.int64)
    found = grad_cam(run.model, batch, guesses, run.device, method)
    views: dict[ViewName, np.ndarray] = {"roi": batch.roi, "extra_roi": batch.extra_roi}
    return tuple(
        tuple(
            BranchPicture(
                branch,
                blend_heat(enlarge(views[branch][row]), enlarge_mask(batch.masks[row]), heat.heat[row]),
                share_inside(heat.heat[row], batch.masks[row]),
            )
            for branch, heat in found.items()
        )
        for row in range(len(batch))
    )


def enlarge(view: Image) -> Shown:
    """Return a small picture enlarged by a whole factor, without smoothing, so that its pixels stay what they are."""
    factor = max(1, -(-SHOWN_SIDE // len(view)))
    enlarged: Shown = view.repeat(factor, axis=0).repeat(factor, axis=1)
    return enlarged


def enlarge_mask(mask: Mask) -> ShownMask:
    """Return a mask at the size that `enlarge` gives its view."""
    factor = max(1, -(-SHOWN_SIDE // len(mask)))
    enlarged: ShownMask = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    return enlarged


def write_picture(image: Image, path: Path) -> str:
    """Write a picture; return its path as text."""
    Pillow.fromarray(image).save(path)
    return str(path)
