"""A finished run as a small, open package: `model.safetensors` and `run.json`, enough to classify on any machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError

from pipeline.errors import ManifestError
from pipeline.manifest import sha256_of
from pipeline.models.backbone import build_backbone
from pipeline.models.card import WEIGHTS, BackboneCard
from pipeline.models.numerics import seeded
from pipeline.models.rvernet import RveRNet, join_branches
from pipeline.params.base import Section, describe
from pipeline.params.model import TrainParams

RUN_CARD = "run.json"

BranchName = Literal["roi", "extra_roi"]


class RunCard(Section):
    """`run.json`: what was trained, on what, and how."""

    run: str
    """Name of the run, `<roi>+<extra_roi>-<classes>`."""
    roi: str
    """Backbone of the ROI branch, or none."""
    extra_roi: str
    """Backbone of the extra-ROI branch, or none."""
    classes: str
    """Class set."""
    class_names: tuple[str, ...]
    """Category name by logit."""
    ambiguous: tuple[str, ...]
    """Names of the ambiguous pair that are among `class_names`."""
    image_size: int
    """Side of the pictures in pixels."""
    backbones: dict[BranchName, BackboneCard]
    """Backbone by branch, without absent ones."""
    train: TrainParams
    """Recipe."""
    shards_sha256: str
    """Hash of the manifest of the shards trained on."""
    weights_sha256: str
    """Hash of `model.safetensors`; set by `save_run`."""
    epochs_done: int
    """Epoch the weights are of: always the last."""


def build_run(card: RunCard, tensors: Mapping[BranchName, dict[str, torch.Tensor] | None]) -> RveRNet:
    """Build the model of a card.

    Args:
        card: What to build.
        tensors: Pre-trained state dict by branch; None, or an absent key, leaves a random initialisation.

    Raises:
        ModelError: If a backbone cannot be built, or both are absent.
    """
    branches = {}
    for name, backbone in card.backbones.items():
        with seeded(card.train.seed, name):
            branches[name] = build_backbone(backbone, card.train, image_size=card.image_size, tensors=tensors.get(name))
    return join_branches(
        branches.get("roi"),
        branches.get("extra_roi"),
        num_classes=len(card.class_names),
        hidden=card.train.hidden,
        seed=card.train.seed,
    )


def save_run(model: RveRNet, card: RunCard, folder: Path) -> None:
    """Write `model.safetensors` and `run.json` into an existing folder."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(tensors, folder / WEIGHTS)
    hashed = card.model_copy(update={"weights_sha256": sha256_of(folder / WEIGHTS)})
    (folder / RUN_CARD).write_text(hashed.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load_run(folder: Path, device: torch.device | str) -> tuple[RveRNet, RunCard]:
    """Read a package; nothing is unpickled. The model is in eval mode.

    Raises:
        ManifestError: If a file is absent or damaged.
    """
    card = read_run_card(folder)
    path = folder / WEIGHTS
    if not path.is_file() or sha256_of(path) != card.weights_sha256:
        raise ManifestError(f"{path}: absent or not the file run.json describes; run `dvc repro -f train@{card.run}`")
    model = build_run(card, {})
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (RuntimeError, OSError, SafetensorError) as error:
        text = " ".join(str(error).split())
        raise ManifestError(f"{path}: does not fit the model ({text}); run `dvc repro -f train@{card.run}`") from error
    return model.to(device).eval(), card


def read_run_card(folder: Path) -> RunCard:
    """Read `folder/run.json`.

    Raises:
        ManifestError: If it is absent or damaged.
    """
    path = folder / RUN_CARD
    try:
        return RunCard.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: absent; run `dvc repro train@{folder.name}` or `dvc pull`") from error
    except ValidationError as error:
        raise ManifestError(f"{path}: {describe(error)}; run `dvc repro -f train@{folder.name}`") from error
