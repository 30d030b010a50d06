"""A run as other programs hold it: pictures in, logits out, and the proof that it says the same."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pipeline.arrays import Images, Logits
from pipeline.errors import ExportError
from pipeline.evaluation.perturbation import Branch
from pipeline.models.rvernet import RveRNet
from pipeline.prediction.run import Run

TOLERANCE = 1e-4
"""Largest difference of a logit, in units of the logit or of the largest logit where that is more than 1."""
BATCHES = (1, 2, 5)
"""Batch sizes that are compared; the model is traced with two samples."""
SEED = 0

Answering: TypeAlias = Callable[[Sequence[Images]], Logits]
"""Anything that returns logits of the views a run looks at, in the order of `Run.branches`."""


class Classifier(nn.Module):
    """A run whose inputs are only the views that it looks at."""

    def __init__(self, model: RveRNet, names: tuple[Branch, ...]) -> None:
        """Wrap a model; `names` are the branches that it has, in the order of the inputs."""
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *views: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B K"]:
        """Return logits of raw pixels in [0, 255]."""
        given = dict(zip(self.names, views, strict=True))
        logits: Tensor = self.model(given.get("roi"), given.get("extra_roi"))
        return logits


def random_views(run: Run, samples: int) -> tuple[Images, ...]:
    """Return noise for every view of a run; the same every time, and different for every sample."""
    side = run.card.image_size
    generator = np.random.default_rng(SEED)
    return tuple(generator.integers(0, 256, (samples, side, side, 3), dtype=np.uint8) for _ in run.branches)


def channels_first(views: Sequence[Images]) -> tuple[np.ndarray, ...]:
    """Return views as exported models take them, (B, 3, S, S)."""
    return tuple(np.ascontiguousarray(view.transpose(0, 3, 1, 2)) for view in views)


def tensors(views: Sequence[Images]) -> tuple[Tensor, ...]:
    """Return views as tensors (B, 3, S, S)."""
    return tuple(torch.from_numpy(view) for view in channels_first(views))


def describe(run: Run) -> dict[str, str]:
    """Return what a program must know to use an exported run, as text by name."""
    card = run.card
    return {
        "run": card.run,
        "class_names": json.dumps(card.class_names, ensure_ascii=False),
        "image_size": str(card.image_size),
        "preprocessing": card.preprocessing.model_dump_json(),
        "temperature": str(run.temperature),
        "weights_sha256": card.weights_sha256,
    }


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """Lend another name to write to; the file takes its own once the block ends without an error."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_equality(run: Run, exported: Answering, what: str) -> float:
    """Compare an exported model with its run on noise, for several batch sizes; return the largest difference.

    Args:
        run: The original, on the CPU.
        exported: The copy.
        what: File, for the error.

    Raises:
        ExportError: If a logit differs by more than `TOLERANCE`.
    """
    worst = float(np.max(list(_differences(run, exported))))  # unlike Python's, it does not lose a NaN
    if not worst <= TOLERANCE:
        raise ExportError(f"{what}: logits differ from run {run.name}'s by {worst:.1e}; more than {TOLERANCE:g}")
    return worst


def _differences(run: Run, exported: Answering) -> Iterator[float]:
    classifier = Classifier(run.model, run.branches)
    for samples in BATCHES:
        views = random_views(run, samples)
        with torch.inference_mode():
            own = classifier(*tensors(views)).float().numpy()
        copied = exported(views)
        yield float(np.abs(copied - own).max() / max(1.0, float(np.abs(own).max())))
