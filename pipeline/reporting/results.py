"""What earlier stages stored about a run, read with errors that name the stage to run."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from pipeline.datasets.sample_batch import FoodVisible
from pipeline.evaluation.perturbation import PerturbationKey, Target
from pipeline.models.card import BackboneCard
from pipeline.params.base import describe, dvc_command
from pipeline.runtime.errors import ManifestError
from pipeline.runtime.escaping import from_spreadsheet


class Stored(BaseModel):
    """Base of stored records: immutable and strict; keys that only other readers need are passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)


T = TypeVar("T")
StoredT = TypeVar("StoredT", bound=BaseModel)


class EvaluationMetrics(Stored):
    """`metrics.json` of stage `evaluate`; rates, F1 and errors in [0, 1]."""

    samples: int
    """Test samples."""
    top1: float
    """Share of right predictions."""
    top1_interval: tuple[float, float] | None = None
    """95 % interval over photos; None in files of earlier versions."""
    macro_f1: float
    """Mean F1 over classes that occur in targets or predictions, as in the paper."""
    macro_f1_all: float
    """Mean F1 over all classes of the run."""
    ambiguous_f1: float | None
    """Mean F1 of the ambiguous pair; None without the pair."""
    ambiguous_samples: int
    """Test samples of the ambiguous pair."""
    ambiguous_top1: float | None
    """Share of right predictions among them."""
    ambiguous_top1_interval: tuple[float, float] | None = None
    """95 % interval over photos; None without the pair and in files of earlier versions."""
    ece: float
    """Expected calibration error of calibrated probabilities."""
    majority_rate: float
    """Share of the most frequent class."""
    epoch: int
    """Epoch whose weights were evaluated."""
    conventions: dict[str, str]
    """What each number means, by its name."""


class PerturbationEntry(Stored):
    """One perturbed pass over the test split."""

    kind: Literal["permutation", "translocation"]
    """Patches shuffled, or the picture moved."""
    target: Target
    """Branch whose input is perturbed."""
    seed: int | None
    """Seed of a permutation."""
    patch_size: int | None = None
    """Side of a permutation's patches in pixels; None in files of earlier versions."""
    origin: str | None = None
    """Where a translocation starts from: corner or center."""
    pixels: tuple[int, int] | None = None
    """How far it moves, right and down."""
    dx: int | None
    """Columns of a translocation, in pixels of the paper's 224."""
    dy: int | None
    """Rows of a translocation, in pixels of the paper's 224."""
    top1: float
    """Share of right predictions."""
    macro_f1: float
    """Mean F1 over classes that occur."""
    change_top1: float
    """Difference to the plain pass; negative is worse."""
    photo_kept: float | None
    """Share of the photo's pixels that are still in the picture."""
    roi_kept: float | None
    """The same for the pixels of the ROI; None where it was not moved."""

    @property
    def key(self) -> PerturbationKey:
        """What the tables call it."""
        return PerturbationKey(self.target, None if self.dx is None or self.dy is None else (self.dx, self.dy))


class PerturbationMetrics(Stored):
    """`metrics.json` of stage `perturb`."""

    entries: tuple[PerturbationEntry, ...]
    """One per perturbed pass."""
    conventions: dict[str, str]
    """What each number means, by its name."""


class StoredCalibration(Stored):
    """What makes a run's probabilities mean what they say."""

    temperature: float
    """What logits are divided by before the softmax."""


class RunRecord(Stored):
    """What the report shows of `run.json` of stage `train`."""

    class_names: tuple[str, ...]
    """Category by model output."""
    ambiguous: tuple[str, ...]
    """Names of the ambiguous pair that the data set has."""
    image_size: int
    """Side of the inputs in pixels."""
    backbones: dict[str, BackboneCard]
    """Card of each branch's backbone."""
    train: dict[str, JsonValue]
    """Recipe."""
    food_visible: FoodVisible | None = None
    """Samples that see their own food in their extra-ROI, where views are paired by photo."""
    shards_sha256: str
    """Hash of the shard manifest that the run was trained on."""
    weights_sha256: str
    """Hash of the trained weights."""
    epochs_done: int
    """Passes over the train split."""
    calibration: StoredCalibration
    """Fitted after the last of them."""
    parameters: int | None = None
    """Parameters of the model, those of a shared branch once; runs of earlier versions do not say."""

    @property
    def shares_branches(self) -> bool:
        """Whether both branches are one module with one set of weights."""
        names = [backbone.name for backbone in self.backbones.values()]
        return bool(self.train.get("share_branches")) and len(names) > len(set(names))


class Epoch(NamedTuple):
    """One row of `history.csv`."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    """Rate at the end of the epoch."""
    train_loss: float
    """Mean cross-entropy, natural logarithm."""
    train_top1: float
    """Share of right predictions in [0, 1]."""
    test_loss: float
    """Mean cross-entropy on the test split."""
    test_top1: float
    """Share of right predictions on the test split."""
    test_macro_f1: float
    """Macro F1 over classes that occur."""
    test_ambiguous_f1: float
    """Mean F1 of the ambiguous pair; NaN without the pair."""


class ClassScore(NamedTuple):
    """What the report shows of one row of `per_class.csv`."""

    f1: float
    """In [0, 1]."""
    samples: int
    """Test samples of the category."""


def read_record(schema: type[StoredT], path: Path, stage: str) -> StoredT:
    """Read one JSON record.

    Args:
        schema: What the file holds.
        path: File to read.
        stage: Stage that writes it, as `dvc repro` takes it.

    Raises:
        ManifestError: If the file is absent or does not fit the schema.
    """
    try:
        return schema.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: absent; run {dvc_command(stage)}") from error
    except ValidationError as error:
        raise ManifestError(f"{path}: damaged ({describe(error)}); run {dvc_command(stage, again=True)}") from error


def read_history(path: Path, stage: str) -> tuple[Epoch, ...]:
    """Read the epochs of a run; empty cells become NaN.

    Raises:
        ManifestError: If the file is absent, has no epochs, or lacks a column.
    """
    epochs = _read_rows(path, stage, _epoch)
    if not epochs:
        raise ManifestError(f"{path}: holds no epoch; run {dvc_command(stage, again=True)}")
    return epochs


def read_class_scores(path: Path, stage: str) -> dict[str, ClassScore]:
    """Read the F1 of a run by category.

    Raises:
        ManifestError: If the file is absent, has no category, or lacks a column.
    """
    rows = _read_rows(path, stage, _class_score)
    if not rows:
        raise ManifestError(f"{path}: holds no category; run {dvc_command(stage, again=True)}")
    return dict(rows)


def _read_rows(path: Path, stage: str, parse: Callable[[dict[str, str]], T]) -> tuple[T, ...]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(parse(row) for row in csv.DictReader(file))
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: absent; run {dvc_command(stage)}") from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ManifestError(f"{path}: damaged ({error!r}); run {dvc_command(stage, again=True)}") from error


def _class_score(row: dict[str, str]) -> tuple[str, ClassScore]:
    return from_spreadsheet(row["category"]), ClassScore(float(row["f1"]), int(row["support"]))


def _epoch(row: dict[str, str]) -> Epoch:
    values = {name: math.nan if row[name] == "" else float(row[name]) for name in Epoch._fields[1:]}
    return Epoch(int(row["epoch"]), **values)
