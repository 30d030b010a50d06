"""Turn pre-trained weights of any source into one hashed, shareable safetensors file; later stages touch no hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import safetensors.torch
import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from pipeline.errors import ModelError, WeightsError
from pipeline.manifest import sha256_of
from pipeline.models.backbone import check_timm_id, create_timm_model
from pipeline.models.card import WEIGHTS, BackboneCard, write_card
from pipeline.models.hub import fetch_from_hub
from pipeline.models.state_dicts import differences, read_tensors, with_timm_names
from pipeline.params.model import BackboneParams
from pipeline.space import space_watched

Options: TypeAlias = Mapping[str, Any]
"""Keyword arguments for `timm.create_model`."""

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
        SpaceError: If the disk has no room for them.
    """
    folder = weights / name
    folder.mkdir(parents=True, exist_ok=True)
    if params.timm is None:
        write_card(ABSENT.model_copy(update={"name": name}), folder)
        return
    check_timm_id(params.timm)  # before any download
    card = describe_backbone(name, params.timm, params.options)
    source = _locate(params, params.timm, name)
    if source is not None:
        tensors = fitted_tensors(source.path, params.timm, params.options)
        with space_watched(folder, sum(tensor.nbytes for tensor in tensors.values())):
            safetensors.torch.save_file(tensors, folder / WEIGHTS)
        card = card.model_copy(update=source.provenance)
    write_card(card, folder)


def describe_backbone(name: str, timm_id: str, options: Options) -> BackboneCard:
    """Return the card of a randomly initialised backbone, with timm's word on its normalisation and input size."""
    entry = timm.get_pretrained_cfg(timm_id)
    size = options.get("img_size", entry.input_size[-1] if entry else 0)
    return ABSENT.model_copy(
        update={
            "name": name,
            "timm": timm_id,
            "options": options,
            "mean": tuple(entry.mean if entry else IMAGENET_DEFAULT_MEAN),
            "std": tuple(entry.std if entry else IMAGENET_DEFAULT_STD),
            "input_size": size,
            "licence": entry.license if entry else None,
        }
    )


def fitted_tensors(path: Path, timm_id: str, options: Options) -> dict[str, Tensor]:
    """Return the tensors of a file as the model holds them: timm's names, position embeddings of its size.

    Raises:
        WeightsError: If the file is not readable or a tensor is missing, unknown or of the wrong shape.
    """
    model = create_timm_model(timm_id, options)
    tensors = with_timm_names(read_tensors(path), model)
    try:
        model = create_timm_model(timm_id, options, dict(tensors))
    except (RuntimeError, KeyError, AttributeError, ModelError) as error:
        text = differences(tensors, model) or " ".join(str(error).split())
        raise WeightsError(f"{path}: does not fit {timm_id}: {text}; give weights of this very model") from error
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _locate(params: BackboneParams, timm_id: str, name: str) -> Source | None:
    revision = None
    if params.weights == "none":
        return None
    if params.weights == "hub":
        path, repository, revision = fetch_from_hub(timm_id, params.revision)
        told = f"{repository}/{path.name}"
    else:
        path = Path(params.weights).expanduser()
        told = path.name
    if not path.is_file():
        raise WeightsError(f"backbones.{name}.weights: {path}: no such file; give a path of a state dict, hub or none")
    sha256 = sha256_of(path)
    if params.sha256 not in (None, sha256):
        raise WeightsError(f"backbones.{name}: {path} has SHA-256 {sha256}, not {params.sha256}; fetch it again")
    kind = "hub" if params.weights == "hub" else "file"
    return Source(path, {"source": kind, "file": told, "revision": revision, "sha256": sha256})
