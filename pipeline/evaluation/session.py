"""A run and its test samples: those of its classes, with its targets; from pixels to logits to predictions.

Each branch runs on its own, so that its features can be reused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pipeline.arrays import Images, Logits, Photos
from pipeline.datasets.class_set import EXCLUDED, ClassMap, select_classes
from pipeline.datasets.sample_batch import INPUT_NAMES, InputName, SampleBatch
from pipeline.datasets.shards import Shards
from pipeline.evaluation.metrics import Predictions
from pipeline.models.artifact import RunCard, load_run
from pipeline.models.backbone import Branch
from pipeline.models.device import pick_device, to_tensor
from pipeline.models.rvernet import RveRNet
from pipeline.runtime.errors import EvaluationError
from pipeline.runtime.stores import Place

SPLIT = "test"


def fit_classes(card: RunCard, shards: Shards) -> ClassMap:
    """Return the map from the targets of the shards to those of the run.

    Shards of another mask source fit, so that a run can be evaluated on other cut-outs than it was trained on.

    Raises:
        EvaluationError: If the shards have another image size or lack a class of the run.
    """
    if card.image_size != shards.image_size:
        raise EvaluationError(
            f"{shards.folder}: cut-outs of {shards.image_size} px, but run {card.run} was trained at "
            f"{card.image_size} px; run `dvc repro`"
        )
    known = tuple(name for name in shards.categories if name in card.class_names)
    if known != card.class_names:
        missing = [name for name in card.class_names if name not in known] or "none, but in another order"
        raise EvaluationError(
            f"{shards.folder}: categories differ from run {card.run}'s (missing: {missing}); train anew"
        )
    return select_classes(shards.categories, tuple(name for name in shards.categories if name not in known))


@dataclass(frozen=True, slots=True)
class EvalSession:
    """A run with the samples it is evaluated on."""

    model: RveRNet  # in eval mode, on `device`
    card: RunCard
    shards: Shards  # samples, paired as those the run was trained on
    classes: ClassMap  # maps the targets of the shards to those of the run
    device: torch.device

    def batches(self, batch_size: int) -> Iterator[SampleBatch]:
        """Yield the test split in order, at most `batch_size` rows of one shard at a time, with the run's targets.

        Raises:
            EvaluationError: If no sample is of the run's classes.
            ManifestError: If a shard is absent or damaged.
        """
        found = False
        for batch in self.shards.batches(SPLIT):
            for start in range(0, len(batch), batch_size):
                part = slice(start, start + batch_size)
                targets = self.classes.index[batch.targets[part]]
                keep = targets != EXCLUDED
                if not keep.any():
                    continue
                # A slice is a view: pixels are copied only where rows are left out.
                rows = part if keep.all() else np.flatnonzero(keep) + start
                ids = tuple(i for i, kept in zip(batch.sample_ids[part], keep, strict=True) if kept)
                arrays = {name: getattr(batch, name)[rows] for name in ("rects", "masks", "roi", "extra_roi")}
                found = True
                yield SampleBatch(ids, targets[keep], **arrays, fill=batch.fill)
        if not found:
            raise EvaluationError(
                f"{self.shards.folder}: no test sample of run {self.card.run}'s classes; check ImageSets/test.txt"
            )


def open_session(run: Path, shards: Place, device: str) -> EvalSession:
    """Load a run and open shards for it.

    Raises:
        EvaluationError: If the shards do not fit the run.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    picked, source = pick_device(device), Shards(shards)
    model, card = load_run(run, picked)
    classes = fit_classes(card, source)
    return EvalSession(model, card, source.paired(card.train.pairing, card.class_names), classes, picked)


def branches_of(model: RveRNet) -> dict[InputName, Branch]:
    """Return the branches a model has, by name."""
    branches: dict[InputName, Branch | None] = {name: getattr(model, name) for name in INPUT_NAMES}
    return {name: branch for name, branch in branches.items() if branch is not None}


@torch.inference_mode()
def features_of(branch: nn.Module, images: Images | Photos, device: torch.device) -> Float[Tensor, "N D"]:
    """Return a branch's features of raw pictures, on the device."""
    features: Tensor = branch(to_tensor(images).to(device))
    return features


@torch.inference_mode()
def combined_logits(model: RveRNet, features: Mapping[InputName, Tensor]) -> Logits:
    """Return logits on the CPU from the features (N, D) of the branches the model has."""
    logits: Logits = model.combine(*map(features.get, INPUT_NAMES)).float().cpu().numpy()
    return logits


def predict_logits(model: RveRNet, batch: SampleBatch, device: torch.device) -> Logits:
    """Return the logits of unperturbed samples."""
    branches = branches_of(model).items()
    return combined_logits(model, {name: features_of(each, getattr(batch, name), device) for name, each in branches})


def predict_classes(logits: Logits, sample_ids: Sequence[str]) -> Predictions:
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
