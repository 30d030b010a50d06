"""Turn pre-trained weights of any source into one hashed, shareable safetensors file; later stages touch no hub."""

from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from pipeline.errors import ModelError, WeightsError
from pipeline.manifest import sha256_of
from pipeline.models.backbone import check_timm_id, create_timm_model
from pipeline.models.card import WEIGHTS, BackboneCard, write_card
from pipeline.models.hub import fetch_from_hub
from pipeline.models.state_dicts import differences, read_tensors, with_timm_names
from pipeline.params.model import BackboneParams

ABSENT = BackboneCard(
    name="none",
    timm=None,
    options={},
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    input_size=0,
    source="none",
    file=None,
    revision=None,
    sha256=None,
    licence=None,
)


class Source(NamedTuple):
    """Where weights lie on this machine, and what may be told about them on every machine."""

    path: Path
    """The file."""
    provenance: dict[str, Any]
    """Fields `source`, `file`, `revision` and `sha256` of the card."""


def fetch_weights(params: BackboneParams, *, name: str, weights: Path) -> None:
    """Write `weights/<name>/backbone.json` and, unless weights are none, `weights/<name>/model.safetensors`.

    The files do not depend on where the source lay, so teammates with other paths share them.

    Args:
        params: Model, options and source of the weights.
        name: Name of the backbone in section `backbones`.
        weights: Folder of all backbones.

    Raises:
        ModelError: If timm does not know the model or refuses an option.
        WeightsError: If the weights cannot be had or do not fit.
    """
    folder = weights / name
    folder.mkdir(parents=True, exist_ok=True)
    if params.timm is None:
        write_card(ABSENT.model_copy(update={"name": name}), folder)
        return
    check_timm_id(params.timm)
    model = create_timm_model(params.timm, params.options)
    card = describe_backbone(name, params, model)
    source = _locate(params, name)
    if source is not None:
        tensors = fitted_tensors(params, source.path, model)
        safetensors.torch.save_file(tensors, folder / WEIGHTS)
        card = card.model_copy(update=source.provenance)
    write_card(card, folder)


def describe_backbone(name: str, params: BackboneParams, model: nn.Module) -> BackboneCard:
    """Return the card of a randomly initialised backbone, with timm's word on its normalisation and input size."""
    assert params.timm is not None
    entry = timm.get_pretrained_cfg(params.timm)
    size = params.options.get("img_size", entry.input_size[-1] if entry else 0)
    return ABSENT.model_copy(
        update={
            "name": name,
            "timm": params.timm,
            "options": params.options,
            "mean": tuple(entry.mean if entry else IMAGENET_DEFAULT_MEAN),
            "std": tuple(entry.std if entry else IMAGENET_DEFAULT_STD),
            "input_size": size,
            "licence": entry.license if entry else None,
        }
    )


def fitted_tensors(params: BackboneParams, path: Path, model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a file as the model holds them: timm's names, position embeddings of its size.

    Args:
        params: Model and options.
        path: File of tensors with timm's or torchvision's names.
        model: The same model with random weights, to name and compare tensors.

    Raises:
        WeightsError: If the file is not readable or a tensor is missing, unknown or of the wrong shape.
    """
    assert params.timm is not None
    tensors = with_timm_names(read_tensors(path), model)
    try:
        loaded = create_timm_model(params.timm, params.options, dict(tensors))
    except (RuntimeError, KeyError, AttributeError, ModelError) as error:
        text = differences(tensors, model) or " ".join(str(error).split())
        raise WeightsError(f"{path}: does not fit {params.timm}: {text}; give weights of this very model") from error
    return {name: tensor.detach().clone() for name, tensor in loaded.state_dict().items()}


def _locate(params: BackboneParams, name: str) -> Source | None:
    assert params.timm is not None
    match params.weights:
        case "none":
            return None
        case "hub":
            file = fetch_from_hub(params.timm, params.revision)
            path, told, revision = file.path, f"{file.repository}/{file.path.name}", file.commit
        case location:
            path, revision = Path(location).expanduser(), None
            told = path.name
    if not path.is_file():
        raise WeightsError(f"backbones.{name}.weights: {path}: no such file; give a path of a state dict, hub or none")
    sha256 = sha256_of(path)
    if params.sha256 not in (None, sha256):
        raise WeightsError(f"backbones.{name}: {path} has SHA-256 {sha256}, not {params.sha256}; fetch it again")
    kind = "hub" if params.weights == "hub" else "file"
    return Source(path, {"source": kind, "file": told, "revision": revision, "sha256": sha256})
