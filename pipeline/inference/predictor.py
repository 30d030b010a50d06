"""A finished run as a classifier of regions of photos; needs nothing but the run's folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image as Pillow

from pipeline.arrays import Image, Logits
from pipeline.datasets.sample_batch import INPUT_NAMES, InputName, SampleBatch
from pipeline.evaluation.rejection import PRECISION, Rejection, read_rejection
from pipeline.evaluation.session import predict_classes, predict_logits
from pipeline.imaging.letterbox import cut_views
from pipeline.inference.facts import RunFacts, evaluation_of, read_score
from pipeline.inference.prediction import Prediction
from pipeline.models.artifact import RunCard, load_run
from pipeline.models.device import pick_device
from pipeline.models.rvernet import RveRNet
from pipeline.reporting.results import EvaluationMetrics
from pipeline.runtime.errors import DatasetError, EmptyMaskError

AnyMask: TypeAlias = Bool[np.ndarray, "_ _"]  # mask whose size is not yet checked


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A trained run: model, device and description."""

    card: RunCard
    """Content of `run.json`."""
    model: RveRNet
    """In eval mode, on `device`."""
    device: torch.device
    score: EvaluationMetrics | None = None
    """On the test split, where an evaluation lies beside the run."""
    rejection: Rejection | None = None
    """Least confidence of a named answer, chosen on the validation split; None without one."""

    @property
    def facts(self) -> RunFacts:
        """What the run was trained on, and how often it is right."""
        return RunFacts(self.card, self.score, self.rejection)

    @property
    def name(self) -> str:
        """`<roi>+<extra_roi>-<class set>`."""
        return self.card.run

    @property
    def class_names(self) -> tuple[str, ...]:
        """Category name by logit."""
        return self.card.class_names

    @property
    def branches(self) -> tuple[InputName, ...]:
        """Inputs that the run takes: `roi`, `extra_roi` or both, in this order, or `photo`."""
        return tuple(name for name in INPUT_NAMES if name in self.card.backbones)

    @property
    def temperature(self) -> float:
        """Divisor of the logits before the softmax."""
        return self.card.calibration.temperature

    def accepts(self, prediction: Prediction) -> bool | None:
        """Tell whether the first guess is sure enough to be named; None where the run has no threshold."""
        return self.rejection.accepts(prediction.top(1)[0].probability) if self.rejection else None

    def views(self, photo: Image, masks: Sequence[AnyMask], *, names: Sequence[str] | None = None) -> SampleBatch:
        """Cut regions out of a photo as stage `pair` does, one sample per mask.

        Args:
            photo: RGB at full size.
            masks: Of the photo's size, True inside.
            names: What error messages call the masks.

        Raises:
            DatasetError: If a mask is empty or has another size than the photo.
        """
        ids = tuple(names) if names is not None else tuple(f"region {number}" for number in range(1, len(masks) + 1))
        for mask, sample_id in zip(masks, ids, strict=True):
            if mask.shape != photo.shape[:2]:
                (height, width), (rows, columns) = mask.shape, photo.shape[:2]
                raise DatasetError(f"{sample_id}: mask of {width} x {height} pixels for a photo of {columns} x {rows}")
            if not mask.any():
                raise EmptyMaskError(f"{sample_id}: no pixel of the mask is set; mark the food")
        batch = SampleBatch.empty(ids, size=self.card.image_size, fill=self.card.preprocessing.fill)
        batch.targets[:] = -1  # unknown
        size, settings = self.card.image_size, self.card.preprocessing
        picture = Pillow.fromarray(photo)
        cut = cut_views(picture, masks, size=size, fill=settings.fill, pad=settings.pad, geometry=settings.geometry)
        for row, views in enumerate(cut):
            batch.rects[row], batch.masks[row], batch.roi[row], batch.extra_roi[row] = views
        return batch

    def logits(self, batch: SampleBatch) -> Logits:
        """Return unnormalised scores of cut-outs, for instance of a shard.

        Raises:
            EvaluationError: If a logit is not finite.
        """
        logits = predict_logits(self.model, batch, self.device)
        predict_classes(logits, batch.sample_ids)
        return logits

    def predict(self, photo: Image, masks: Sequence[AnyMask]) -> tuple[Prediction, ...]:
        """Classify regions of one photo.

        Args:
            photo: RGB at full size.
            masks: Any number, of the photo's size, True inside.

        Raises:
            DatasetError: If a mask is empty or has another size than the photo.
            EvaluationError: If a logit is not finite.
        """
        return self.predict_batch(self.views(photo, masks))

    def predict_batch(self, batch: SampleBatch) -> tuple[Prediction, ...]:
        """Classify cut-outs, for instance of a shard or from `views`.

        Raises:
            EvaluationError: If a logit is not finite.
        """
        if not len(batch):
            return ()
        rows = zip(self.logits(batch), batch.masks, batch.roi, batch.extra_roi, strict=True)
        return tuple(Prediction(self.class_names, logits, self.temperature, *views) for logits, *views in rows)


def open_run(folder: Path, *, device: str = "auto", precision: float = PRECISION) -> Run:
    """Load `run.json` and `model.safetensors`, of which nothing is unpickled.

    Its score is read from `metrics.json` in the folder or in `../../evaluations/RUN`, if there; its threshold is chosen
    on the predictions of its validation split, if they lie in the folder.

    Args:
        folder: Folder of the run.
        device: `auto`, `cpu`, `cuda` or `mps`.
        precision: Share in (0, 1] of named answers that are to be right.

    Raises:
        ManifestError: If a file is absent or damaged.
        ParamsError: If the device is not there.
    """
    torch_device = pick_device(device, "device")
    model, card = load_run(folder, torch_device)
    rejection = read_rejection(folder, card.calibration.temperature, precision)
    return Run(card, model, torch_device, read_score(evaluation_of(folder), card), rejection)
