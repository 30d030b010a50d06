"""FastSAM: one pass finds every mask of a photo; prompts choose among them.

FastSAM's own prompting returns a set without order, ORs boxes with points, and returns a mask for a box that none fits.

Reference:
    Zhao et al., Fast Segment Anything, arXiv 2306.12156, section 3.3.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float64

from pipeline.arrays import AnyImage
from pipeline.datasets.prompts import Prompt
from pipeline.models.device import seeded
from pipeline.params.masks import FastSamArchitectureName, FastSamDecoding
from pipeline.runtime.errors import WeightsError, raise_if_machine_error
from pipeline.segmentation.contained_ultralytics import SAFE_LOAD, FastSAM, SegmentationModel, yaml_model_load
from pipeline.segmentation.mask_source import MaskPrediction, NetworkSource
from pipeline.segmentation.weights import FASTSAM_FILES

PhotoMasks: TypeAlias = Bool[np.ndarray, "N H W"]  # masks of one photo
Boxes: TypeAlias = Float64[np.ndarray, "N 4"]  # x0, y0, x1, y1; inclusive

NETWORKS: dict[FastSamArchitectureName, str] = {"s": "yolov8s-seg.yaml", "x": "yolov8x-seg.yaml"}
DECODING = FastSamDecoding(
    image_size=1024, confidence=0.4, iou=0.9, max_masks=300, min_iou=0.5, photos_per_batch=8, threads=2
)
"""The authors' settings, the default."""


class Candidates(NamedTuple):
    """Everything that was found in one photo."""

    masks: PhotoMasks  # at the size of the photo, each with at least one pixel
    boxes: Boxes  # tight bounding boxes of the masks
    confidences: Float64[np.ndarray, " N"]  # in [0, 1]

    @classmethod
    def from_masks(cls, masks: PhotoMasks, confidences: Sequence[float]) -> "Candidates":
        """Keep the masks that have pixels."""
        kept = masks.any(axis=(1, 2)) if len(masks) else np.zeros(0, np.bool_)
        rects = np.array([cv2.boundingRect(mask.view(np.uint8)) for mask in masks[kept]], np.float64).reshape(-1, 4)
        boxes = np.hstack((rects[:, :2], rects[:, :2] + rects[:, 2:] - 1))
        return cls(masks[kept], boxes, np.array(confidences, np.float64)[kept])


def select_mask(candidates: Candidates, prompt: Prompt, *, min_iou: float) -> MaskPrediction:
    """Return the mask that fits a prompt best, or an empty one with score 0.

    A box means the mask whose bounding box overlaps it most, with an IoU of at least `min_iou` in [0, 1]; a click the
    most confident mask under it; both together the best overlap among the masks under the click.
    """
    fits = np.ones(len(candidates.confidences), np.bool_)
    quality = candidates.confidences
    if prompt.point:
        x, y = map(int, prompt.point)
        fits &= candidates.masks[:, y, x]
    if prompt.box:
        quality = box_ious(candidates.boxes, prompt.box)
        fits &= quality >= min_iou
    if not fits.any():
        return MaskPrediction(np.zeros(candidates.masks.shape[1:], np.bool_), 0.0)
    # Of equal fits the more confident one, of equally confident ones the first.
    order = np.lexsort((-candidates.confidences, -quality))
    best = order[fits[order]][0]
    return MaskPrediction(candidates.masks[best], float(candidates.confidences[best]))


def box_ious(boxes: Boxes, box: tuple[float, float, float, float]) -> Float64[np.ndarray, " N"]:
    """Return the IoU in [0, 1] of every box with one box, pixels counted with both corners."""
    x0, y0, x1, y1 = box
    width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0) + 1
    height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0) + 1
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    ious: Float64[np.ndarray, " N"] = shared / (areas + (x1 - x0 + 1) * (y1 - y0 + 1) - shared)
    return ious


def write_random(architecture: FastSamArchitectureName, path: Path) -> None:
    """Write an untrained FastSAM, the same every time; it finds masks, which mean nothing."""
    description = yaml_model_load(NETWORKS.get(architecture, "yolov8n-seg.yaml"))
    if architecture == "tiny":
        description["scales"]["n"][1] = 1 / 32  # channels, as a share of the widest network's
    with seeded(0, "fastsam", architecture):
        network = SegmentationModel(description, nc=1, verbose=False)
    for scores in network.model[-1].cv3:
        torch.nn.init.zeros_(scores[-1].bias)  # untrained, every place would otherwise be surely empty
    torch.save({"model": network.eval(), "train_args": {"task": "segment"}}, path)


def load_fastsam(path: Path) -> FastSAM:
    """Return the network of a .pt file; a `WeightsError` if absent, damaged, hostile, or of another network."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; {download_hint()}")
    if path.suffix != ".pt":  # it would look for such a file in the network
        advice = f"rename it if it is, or {download_hint()}"
        raise WeightsError(f"{path}: FastSAM's weights are a file with the ending .pt; {advice}")
    if not SAFE_LOAD:
        raise WeightsError("ultralytics was imported before it could be contained; start a new process")
    try:
        network = FastSAM(str(path))
    except Exception as error:  # it lets through whatever a damaged or hostile file makes torch raise
        raise_if_machine_error(path, error)
        text = " ".join(str(error).split())[:160]
        raise WeightsError(f"{path}: not a readable FastSAM file ({text}); {download_hint()}") from error
    if network.task != "segment" or not isinstance(network.model, SegmentationModel):
        raise WeightsError(f"{path}: holds another network than FastSAM; {download_hint()}")
    return network


def download_hint() -> str:
    """Return a message that names the official files."""
    files = " or ".join(f"{file.url} ({file.size / 1e6:.0f} MB)" for file in FASTSAM_FILES.values())
    return f"fetch {files} and set masks.fastsam.weights to its path"


class FastSam(NetworkSource):
    """Mask source of the package ultralytics; the score is FastSAM's confidence in the chosen mask."""

    name = "fastsam"
    decoding: FastSamDecoding

    def __init__(self, weights: Path, *, device: torch.device | str, decoding: FastSamDecoding = DECODING) -> None:
        """Load a .pt file that ultralytics wrote; errors are those of `load_fastsam`."""
        self.device, self.decoding = torch.device(device), decoding
        self.network = load_fastsam(weights)
        threads = torch.get_num_threads()
        self._forward([np.zeros((decoding.image_size, decoding.image_size, 3), np.uint8)])
        torch.set_num_threads(threads)  # its first pass sets another number, which depends on the machine

    def predict_batch(
        self, photos: Sequence[AnyImage], prompts: Sequence[Sequence[Prompt]]
    ) -> list[list[MaskPrediction]]:
        """Return the predictions of several photos; each photo passes the network once."""
        return [
            [select_mask(candidates, prompt, min_iou=self.decoding.min_iou) for prompt in asked]
            for candidates, asked in zip(self.detect(photos), prompts, strict=True)
        ]

    def candidates(self, photo: AnyImage) -> list[MaskPrediction]:
        """Return every mask that it finds in a photo."""
        (found,) = self.detect([photo])
        return [MaskPrediction(mask, float(score)) for mask, score in zip(found.masks, found.confidences, strict=True)]

    def detect(self, photos: Sequence[AnyImage]) -> Iterator[Candidates]:
        """Yield every mask of each photo."""
        for rows in self.micro_batches(photos):
            batch = photos[rows]
            for photo, result in zip(batch, self._forward(batch), strict=True):
                masks, confidences = np.zeros((0, *photo.shape[:2]), np.bool_), []
                if result.masks is not None:
                    masks = result.masks.data.cpu().numpy().astype(np.bool_)
                    confidences = result.boxes.conf.tolist()
                yield Candidates.from_masks(masks, confidences)

    def _forward(self, photos: Sequence[AnyImage]) -> list[Any]:
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
