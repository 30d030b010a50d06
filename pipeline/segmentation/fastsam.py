"""Masks from prompts by FastSAM: one pass finds every mask of a photo, prompts choose among them.

Reference:
    Zhao et al., Fast Segment Anything, arXiv 2306.12156.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.arrays import AnyImage, Image
from pipeline.datasets.prompts import Prompt
from pipeline.params.masks import FastSamDecoding
from pipeline.segmentation.fastsam_weights import load_fastsam
from pipeline.segmentation.selection import Candidates, choose
from pipeline.segmentation.source import Answer

DECODING = FastSamDecoding(
    image_size=1024, confidence=0.4, iou=0.9, max_masks=300, min_iou=0.5, photos_per_batch=8, threads=2
)
"""The authors' settings, used where nobody says otherwise."""


class FastSam:
    """Mask source of the package ultralytics."""

    name = "fastsam"

    def __init__(self, weights: Path, *, device: torch.device | str, decoding: FastSamDecoding = DECODING) -> None:
        """Load weights.

        Args:
            weights: File that ultralytics wrote, .pt.
            device: Where to run.
            decoding: How masks are found and chosen.

        Raises:
            WeightsError: If the weights cannot be read or are those of another network.
        """
        self.device, self.decoding = torch.device(device), decoding
        self.network = load_fastsam(weights)
        threads = torch.get_num_threads()
        self._pass([np.zeros((decoding.image_size, decoding.image_size, 3), np.uint8)])
        torch.set_num_threads(threads)  # its first pass sets another number, which depends on the machine

    def answer(self, photo: Image, prompts: Sequence[Prompt]) -> list[Answer]:
        """Return one answer per prompt; the score is FastSAM's confidence in the chosen mask."""
        return self.answer_batch([photo], [prompts])[0]

    def answer_batch(self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]) -> list[list[Answer]]:
        """Return the answers of several photos; each photo passes the network once."""
        return [
            [choose(found, prompt, min_iou=self.decoding.min_iou) for prompt in asked]
            for found, asked in zip(self.find(photos), prompts, strict=True)
        ]

    def find(self, photos: Sequence[AnyImage]) -> Iterator[Candidates]:
        """Yield every mask of each photo."""
        # On a CPU photos gain nothing from company, and alone their bytes do not depend on it.
        together = 1 if self.device.type == "cpu" else self.decoding.photos_per_batch
        for first in range(0, len(photos), together):
            group = photos[first : first + together]
            for photo, result in zip(group, self._pass(group), strict=True):
                yield _candidates(result, photo)

    def _pass(self, photos: Sequence[AnyImage]) -> list[Any]:
        # Arrays are taken for BGR; without `rect=False` photos of one batch would change each other's size.
        results: list[Any] = self.network.predict(
            [np.ascontiguousarray(photo[..., ::-1]) for photo in photos],
            imgsz=self.decoding.image_size,
            conf=self.decoding.confidence,
            iou=self.decoding.iou,
            max_det=self.decoding.max_masks,
            retina_masks=True,
            rect=False,
            device=str(self.device),
            save=False,
            verbose=False,
        )
        return results


def _candidates(result: Any, photo: Image) -> Candidates:
    if result.masks is None:
        return Candidates.of(np.zeros((0, *photo.shape[:2]), np.bool_), [])
    return Candidates.of(result.masks.data.cpu().numpy().astype(np.bool_), result.boxes.conf.tolist())
