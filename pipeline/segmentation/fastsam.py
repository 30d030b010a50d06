"""Masks from prompts by FastSAM: one pass finds every mask of a photo, prompts choose among them.

Reference:
    Zhao et al., Fast Segment Anything, arXiv 2306.12156.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float64

from pipeline.arrays import AnyImage, Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.models.device import seeded
from pipeline.params.masks import FastSamArchitectureName, FastSamDecoding
from pipeline.runtime.errors import WeightsError, raise_if_machine_error
from pipeline.segmentation.contained_ultralytics import SAFE_LOAD, FastSAM, SegmentationModel, yaml_model_load
from pipeline.segmentation.source import MaskPrediction
from pipeline.segmentation.weights import FASTSAM_FILES

# Choose, among all the masks found in a photo, the one that a prompt means.
#
# FastSAM's own prompting returns a set without order, ORs boxes with points, and answers a box that nothing fits.
#
# Reference:
#     Zhao et al., Fast Segment Anything, arXiv 2306.12156, section 3.3.


Found: TypeAlias = Bool[np.ndarray, "N H W"]
"""Masks of one photo."""
Boxes: TypeAlias = Float64[np.ndarray, "N 4"]
"""x0, y0, x1, y1; inclusive."""


class Candidates(NamedTuple):
    """Everything that was found in one photo."""

    masks: Found
    """At the size of the photo, each with at least one pixel."""
    boxes: Boxes
    """Tight bounding boxes of the masks."""
    confidences: Float64[np.ndarray, " N"]
    """In [0, 1]."""

    @classmethod
    def of(cls, masks: Found, confidences: Sequence[float]) -> "Candidates":
        """Keep the masks that have pixels."""
        kept = masks.any(axis=(1, 2)) if len(masks) else np.zeros(0, np.bool_)
        boxes = np.array([_tight_box(mask) for mask in masks[kept]], np.float64).reshape(-1, 4)
        return cls(masks[kept], boxes, np.array(confidences, np.float64)[kept])


def _tight_box(mask: Mask) -> tuple[int, int, int, int]:
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return left, top, left + width - 1, top + height - 1


def choose(found: Candidates, prompt: Prompt, *, min_iou: float) -> MaskPrediction:
    """Return the mask that fits a prompt best, or an empty one with score 0.

    A box means the mask whose bounding box overlaps it most; a click the most confident mask under it; both together
    the best overlap among the masks under the click.

    Args:
        found: All masks of the photo.
        prompt: What is asked for.
        min_iou: IoU of bounding box and prompted box in [0, 1] below which a mask does not fit.
    """
    fits = np.ones(len(found.confidences), np.bool_)
    quality = found.confidences
    if prompt.point:
        x, y = map(int, prompt.point)
        fits &= found.masks[:, y, x]
    if prompt.box:
        quality = box_ious(found.boxes, prompt.box)
        fits &= quality >= min_iou
    if not fits.any():
        return MaskPrediction(np.zeros(found.masks.shape[1:], np.bool_), 0.0)
    # Of equal fits the more confident one, of equally confident ones the first.
    best = min(np.flatnonzero(fits).tolist(), key=lambda place: (-quality[place], -found.confidences[place], place))
    return MaskPrediction(found.masks[best], float(found.confidences[best]))


def box_ious(boxes: Boxes, box: tuple[float, float, float, float]) -> Float64[np.ndarray, " N"]:
    """Return the IoU in [0, 1] of every box with one box, pixels counted with both corners."""
    x0, y0, x1, y1 = box
    width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0) + 1
    height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0) + 1
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    ious: Float64[np.ndarray, " N"] = shared / (areas + (x1 - x0 + 1) * (y1 - y0 + 1) - shared)
    return ious


# Weights of FastSAM: read without running code of the file, or drawn at random for trials.


SEED = 0
"""Of random weights."""
NETWORKS: dict[FastSamArchitectureName, str] = {"s": "yolov8s-seg.yaml", "x": "yolov8x-seg.yaml"}
"""What FastSAM was trained as, with one class."""
TINY_WIDTH = 1 / 32
"""Channels of the stand-in, as a share of the widest network's."""


def write_random(architecture: FastSamArchitectureName, path: Path) -> None:
    """Write an untrained FastSAM, the same every time; its masks mean nothing, but it finds some."""
    description = yaml_model_load(NETWORKS.get(architecture, "yolov8n-seg.yaml"))
    if architecture == "tiny":
        description["scales"]["n"][1] = TINY_WIDTH
    with seeded(SEED, "fastsam", architecture):
        network = SegmentationModel(description, nc=1, verbose=False)
    for scores in network.model[-1].cv3:
        torch.nn.init.zeros_(scores[-1].bias)  # untrained, every place would otherwise be surely empty
    torch.save({"model": network.eval(), "train_args": {"task": "segment"}}, path)


def load_fastsam(path: Path) -> FastSAM:
    """Return the network of a .pt file that ultralytics wrote.

    Raises:
        WeightsError: If the file is absent, damaged, wants to run code, or holds another network.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; {wanted()}")
    if path.suffix != ".pt":  # it would look for such a file in the network
        raise WeightsError(
            f"{path}: FastSAM's weights are a file with the ending .pt; rename it if it is, or {wanted()}"
        )
    if not SAFE_LOAD:
        raise WeightsError("ultralytics was imported before it could be contained; start a new process")
    try:
        network = FastSAM(str(path))
    except Exception as error:  # it lets through whatever a damaged or hostile file makes torch raise
        raise_if_machine_error(path, error)
        text = " ".join(str(error).split())[:160]
        raise WeightsError(f"{path}: not a readable FastSAM file ({text}); {wanted()}") from error
    if network.task != "segment" or not isinstance(network.model, SegmentationModel):
        raise WeightsError(f"{path}: holds another network than FastSAM; {wanted()}")
    return network


def wanted() -> str:
    """Say which files would do."""
    files = " or ".join(f"{file.url} ({file.size / 1e6:.0f} MB)" for file in FASTSAM_FILES.values())
    return f"fetch {files} and set masks.fastsam.weights to its path"


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

    def answer(self, photo: Image, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Return one answer per prompt; the score is FastSAM's confidence in the chosen mask."""
        return self.answer_batch([photo], [prompts])[0]

    def answer_batch(
        self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[MaskPrediction]]:
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
