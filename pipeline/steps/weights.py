"""Turn pre-trained weights of any source into one hashed, shareable safetensors file; later stages touch no hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from pipeline.console import note
from pipeline.errors import ModelError, WeightsError
from pipeline.manifest import sha256_of
from pipeline.models.backbone import check_timm_id, create_timm_model
from pipeline.models.card import WEIGHTS, BackboneCard, write_card
from pipeline.models.initialisation import check_torchvision_draws
from pipeline.models.state_dicts import (
    differences,
    from_torchvision,
    read_tensors,
    with_timm_names,
    without_other_classifier,
    write_tensors,
)
from pipeline.params.model import BackboneParams
from pipeline.space import space_watched
from pipeline.steps.weight_sources import located

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
TORCHVISION_NORMALISATION = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
"""What torchvision trained its models with; timm's entry speaks of timm's weights, which may differ."""


class Fitted(NamedTuple):
    """Tensors as a model holds them."""

    tensors: dict[str, Tensor]
    """By timm's names."""
    by_torchvision: bool
    """Whether they were written under torchvision's names."""


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
    check_timm_id(params.timm)  # before any download
    if params.init == "torchvision":
        check_torchvision_draws(params.timm)
    card = describe_backbone(name, params.timm, params.options).model_copy(
        update={"init": params.init, "layer_norm_eps": params.layer_norm_eps}
    )
    if params.weights == "none":
        write_card(card, folder)
        return
    with located(params, params.timm, name) as source:
        fitted = fitted_tensors(source.path, params.timm, params.options)
        with space_watched(folder, sum(tensor.nbytes for tensor in fitted.tensors.values())):
            write_tensors(fitted.tensors, folder / WEIGHTS)
    by_torchvision = fitted.by_torchvision or source.provenance.source == "torchvision"
    normalisation = TORCHVISION_NORMALISATION if by_torchvision else {}
    stored = {"stored_sha256": sha256_of(folder / WEIGHTS)}
    write_card(card.model_copy(update=source.provenance._asdict() | normalisation | stored), folder)


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


def fitted_tensors(path: Path, timm_id: str, options: Options) -> Fitted:
    """Return the tensors of a file as the model holds them: timm's names, position embeddings of its size.

    A classifier that is absent, or of another number of classes, is left out.

    Raises:
        WeightsError: If the file is not readable or a tensor is missing, unknown or of the wrong shape.
    """
    model = create_timm_model(timm_id, options)
    read = read_tensors(path)
    tensors = with_timm_names(read, model)
    features = without_other_classifier(tensors, model)
    try:
        if features is None:
            model = create_timm_model(timm_id, options, dict(tensors))
        else:
            model = create_timm_model(timm_id, options, dict(features), headless=True)
    except (RuntimeError, KeyError, AttributeError, ModelError) as error:
        text = differences(tensors, model) or " ".join(str(error).split())
        raise WeightsError(f"{path}: does not fit {timm_id}: {text}; give weights of this very model") from error
    if features is not None:
        note(f"{path.name}: no classifier of {timm_id}'s classes in it; it serves train.features pooled alone")
    stored = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return Fitted(stored, from_torchvision(read))
