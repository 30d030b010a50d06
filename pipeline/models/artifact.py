"""The package of a finished run: `model.safetensors` and `run.json`, enough to classify on any machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from pydantic import Field
from safetensors import SafetensorError

from pipeline.datasets.sample_batch import INPUT_NAMES, FoodVisible, InputName
from pipeline.datasets.shards import Preprocessing
from pipeline.models.backbone import Branch, build_backbone
from pipeline.models.card import NAME_A_RUN, RUN_CARD, WEIGHTS, BackboneCard, how_to_fix, run_not_found, stage_of
from pipeline.models.device import seeded
from pipeline.models.fusion import fused_branch
from pipeline.models.rvernet import RveRNet, build_student, join_branches
from pipeline.models.state_dicts import write_tensors
from pipeline.params.base import Name, Section, omit_default, read_record
from pipeline.params.model import TrainParams
from pipeline.params.stages import DistillationKind
from pipeline.runtime.errors import ManifestError, ModelError, one_line, raise_if_machine_error
from pipeline.runtime.manifest import sha256_of


class RunEnvironment(Section):
    """Environment of the training, which the bits of the weights depend on; no host, path or time."""

    device: str  # kind of device: cpu, cuda or mps. Only a cpu reproduces the bits.
    precision: Literal["fp32", "bf16", "fp16"]  # precision of the forward pass; the weights are always fp32
    versions: dict[str, str]  # version by package, without a build's local suffix


class Distillation(Section):
    """Teacher of a run with the hash of its trained weights, and kind of distillation."""

    teacher: BackboneCard
    teacher_sha256: str
    kind: DistillationKind  # `hard` uses its decision, `soft` its probabilities
    alpha: float  # weight of the teacher's loss in [0, 1]
    temperature: float


class RunConfig(Section):
    """Configuration of a run: everything that is known before the first step."""

    run: str  # `<roi>+<extra_roi>-<classes>`, of backbones or none, and a class set
    roi: str
    extra_roi: str
    classes: str
    class_names: tuple[Name, ...]  # category name by logit
    ambiguous: tuple[str, ...] = omit_default(())  # of a given pair, those of `class_names`; test curves show its F1
    image_size: int  # side of the pictures in pixels
    preprocessing: Preprocessing
    backbones: dict[InputName, BackboneCard]
    """Backbone by branch with its weights' hash and licence, without absent ones; of a fusion the photo's alone."""
    train: TrainParams
    made_with: RunEnvironment
    shards_sha256: str  # hash of the manifest of the shards trained on
    distillation: Distillation | None = omit_default(None)  # None for a run trained on labels alone

    @property
    def shares_branches(self) -> bool:
        """Whether both branches are one module: if the recipe says so and their backbones are the same."""
        return self.train.share_branches and self.roi == self.extra_roi

    def replace(self, **changes: object) -> "RunConfig":
        """Return a configuration that differs in `changes` alone; of a card, without its results."""
        return RunConfig.model_validate({name: getattr(self, name) for name in RunConfig.model_fields} | changes)


class FinalMetrics(Section):
    """Scores of the saved weights; fractions in [0, 1]."""

    measured_on: Literal["validation split", "test split"] = "test split"  # runs of earlier versions do not say so
    loss: float  # mean cross-entropy in nats
    top1: float
    macro_f1: float  # over classes that occur in targets or predictions
    ambiguous_f1: float | None = omit_default(None)  # mean over the ambiguous pair, in runs of earlier versions


class Calibration(Section):
    """Temperature scaling of the logits."""

    temperature: float = Field(gt=0)  # divisor of the logits; above 1 for an overconfident run, 1 if not fitted
    fitted_on: Literal["validation split", "test split"] | None
    """Samples that the temperature was fitted on: the test split in runs of earlier versions; None without a validation
    split."""


class TrainedOn(Section):
    """Numbers of the train split, of the run's classes; `train.data_set` names it, `shards_sha256` is its hash."""

    photos: int
    samples: int
    categories: int  # classes that have a sample


class RunCard(RunConfig):
    """`run.json`: configuration and results of a run."""

    trained_on: TrainedOn | None = omit_default(None)  # runs of earlier versions lack the field
    food_visible: FoodVisible | None = omit_default(None)  # None where views are paired exactly
    epochs_done: int  # epoch of the weights, see `train.select`
    metrics: FinalMetrics | None  # after that epoch; None without a validation split
    calibration: Calibration
    parameters: int | None = omit_default(None)
    """Parameters of the model, frozen ones included, those of a shared branch once; earlier runs lack the field."""
    weights_sha256: str  # hash of `model.safetensors`; set by `save_run`


def build_run(card: RunConfig, tensors: Mapping[InputName, dict[str, torch.Tensor] | None]) -> RveRNet:
    """Build the model of a card; a branch without a pre-trained state dict keeps a random initialisation.

    Raises:
        ModelError: If a backbone cannot be built, or both are absent.
    """
    train, side, classes = card.train, card.image_size, len(card.class_names)
    if card.distillation is not None:
        with seeded(train.seed, "roi"):
            student, held = card.backbones["roi"], tensors.get("roi")
            return build_student(student, train, image_size=side, num_classes=classes, tensors=held)
    branches: dict[InputName, Branch] = {}
    for name, backbone in card.backbones.items():
        if card.shares_branches and branches:
            branches[name] = branches["roi"]
            continue
        with seeded(train.seed, name):
            kind = fused_branch(card.extra_roi) if name == "photo" else Branch
            held = tensors.get(name)
            branches[name] = build_backbone(backbone, train, image_size=side, tensors=held, kind=kind)
    return join_branches(*map(branches.get, INPUT_NAMES), num_classes=classes, hidden=train.hidden, seed=train.seed)


def save_run(model: RveRNet, card: RunCard, folder: Path) -> None:
    """Write `model.safetensors` and `run.json` into an existing folder."""
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    write_tensors(tensors, folder / WEIGHTS)
    hashed = card.model_copy(update={"weights_sha256": sha256_of(folder / WEIGHTS)})
    hashed.write(folder / RUN_CARD)


def load_run(folder: Path, device: torch.device | str) -> tuple[RveRNet, RunCard]:
    """Read a package; nothing is unpickled. The model is in eval mode.

    Raises:
        ManifestError: If a file is absent or damaged, or asks for more than a model.
    """
    card = read_run_card(folder)
    path = folder / WEIGHTS
    if not path.is_file() or sha256_of(path) != card.weights_sha256:
        raise ManifestError(f"{path}: absent or not the file run.json describes; {how_to_fix(folder, again=True)}")
    try:
        model = build_run(card, {})
    except ModelError as error:
        raise ManifestError(f"{folder / RUN_CARD}: {error}; {how_to_fix(folder, again=True)}") from error
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, OSError, SafetensorError) as error:
        raise_if_machine_error(path, error)
        raise ManifestError(
            f"{path}: does not fit the model ({one_line(error)}); {how_to_fix(folder, again=True)}"
        ) from error
    return model.to(device).eval(), card


def read_run_card(folder: Path) -> RunCard:
    """Read `folder/run.json`; ManifestError if it is absent or damaged."""
    path = folder / RUN_CARD
    if not path.is_file():
        raise run_not_found(folder)
    return read_record(RunCard, path, stage_of(folder), otherwise=NAME_A_RUN)
