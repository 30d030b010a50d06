"""Pictures of a prediction: the mask over the photo, the cut-outs, and a heat map of each branch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.datasets.sample_batch import InputName, SampleBatch
from pipeline.evaluation.grad_cam import Method, grad_cam
from pipeline.evaluation.heat_maps import blend_heat, share_inside
from pipeline.imaging.drawing import overlay
from pipeline.inference.prediction import Prediction
from pipeline.inference.predictor import Run
from pipeline.inference.regions import Region

SHOWN_SIDE = 320
"""Smallest side in pixels of cut-outs and heat maps; smaller ones are enlarged by whole factors."""


class BranchPicture(NamedTuple):
    """Heat map of one branch for one region."""

    branch: InputName
    picture: Image
    """Gray view, coloured heat, white outline of the region."""
    inside: float | None
    """Share in [0, 1] of the heat on the region of interest; None if there is no heat."""


def explaining_pictures(photo: Image, region: Region, prediction: Prediction) -> Iterator[tuple[str, Image]]:
    """Yield name and pixels of the overlay and the mask at full size, and of both views at the run's size."""
    yield "overlay", overlay(photo, region.mask)
    yield "mask", np.repeat(region.mask[..., np.newaxis], 3, axis=2).astype(np.uint8) * np.uint8(255)
    yield "roi", prediction.roi
    yield "extra_roi", prediction.extra_roi


def heat_pictures(
    run: Run, batch: SampleBatch, predictions: Sequence[Prediction], method: Method = "hires_cam"
) -> tuple[tuple[BranchPicture, ...], ...]:
    """Return, for each sample, a heat map of the first guess for each branch of the run that made the predictions."""
    guesses = np.array([int(prediction.logits.argmax()) for prediction in predictions], np.int64)
    found = grad_cam(run.model, batch, guesses, run.device, method)
    views = {name: getattr(batch, name)[..., :3] for name in found}
    return tuple(
        tuple(
            BranchPicture(
                branch,
                blend_heat(enlarge(views[branch][row]), enlarge(batch.masks[row]), heat.heat[row]),
                share_inside(heat.heat[row], batch.masks[row]),
            )
            for branch, heat in found.items()
        )
        for row in range(len(batch))
    )


def enlarge(pixels: np.ndarray) -> np.ndarray:
    """Return a picture or mask enlarged by a whole factor without smoothing."""
    factor = max(1, -(-SHOWN_SIDE // len(pixels)))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def write_picture(image: Image, path: Path) -> str:
    """Write a picture; return its path as text."""
    Pillow.fromarray(image).save(path)
    return str(path)
