"""Turn pre-trained weights of any source into one hashed, shareable safetensors file; later stages touch no hub."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from pipeline.acquisition.source import is_http_url, remote_name
from pipeline.acquisition.transfer import TransferPolicy, fetch
from pipeline.models.backbone import check_timm_id, check_torchvision_init, create_timm_model
from pipeline.models.card import WEIGHTS, BackboneCard, write_card
from pipeline.models.pretrained import fetch_from_hub, find_torchvision_file, is_torchvision
from pipeline.models.state_dicts import (
    describe_mismatch,
    drop_foreign_classifier,
    is_from_torchvision,
    read_tensors,
    to_timm_names,
    write_tensors,
)
from pipeline.params.model import BackboneParams
from pipeline.runtime.console import byte_progress, note
from pipeline.runtime.errors import ModelError, SourceError, WeightsError, without_secrets
from pipeline.runtime.manifest import sha256_of
from pipeline.runtime.resources import catch_disk_full
from pipeline.runtime.resumable import resumable_dir

# Where pre-trained weights come from: the hub, torchvision's files, a URL or a path; each held to its hash.


HASH_IN_NAME = re.compile(r"-(?!(?:19|20)\d{6}\.)([0-9a-f]{8,64})\.\w+$")
"""First digits of a file's SHA-256 at the end of its name, as PyTorch's own files have it; a date is none."""
WHOLE = 64
"""Digits of a SHA-256: fewer tell a damaged file, and do not prove where a file comes from."""
ATTEMPTS = 8
TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""
MOST_BYTES = 20 * 10**9
"""More than any model of timm takes."""


class Provenance(NamedTuple):
    """Fields of a backbone's card."""

    source: Literal["hub", "torchvision", "url", "file"]
    file: str
    """Without folders of this machine, passwords or signatures."""
    revision: str | None
    """Commit on the hub."""
    sha256: str
    licence: str | None
    """As the source states it."""


class LocatedWeights(NamedTuple):
    """Where weights lie on this machine, and what may be told about them on every machine."""

    path: Path
    """The file."""
    provenance: Provenance


@contextmanager
def located(params: BackboneParams, timm_id: str, name: str) -> Iterator[LocatedWeights]:
    """Bring a backbone's weights to this machine for the time of the block; a broken download goes on next time.

    Args:
        params: Source, not none, with the revision and hash to insist on.
        timm_id: timm model id.
        name: Name of the backbone, for messages.

    Raises:
        WeightsError: If the weights cannot be had, or are not those that were asked for.
    """
    if params.weights == "hub":
        yield _on_hub(params, timm_id, name)
    elif is_torchvision(params.weights):
        file = find_torchvision_file(timm_id, params.weights)
        with _downloaded(file.url, params.sha256, name) as path:
            yield LocatedWeights(path, Provenance("torchvision", file.url, None, sha256_of(path), file.licence))
    elif is_http_url(params.weights):
        with _downloaded(params.weights, params.sha256, name) as path:
            yield LocatedWeights(path, Provenance("url", without_secrets(params.weights), None, sha256_of(path), None))
    else:
        yield _on_disk(params, name)


def _on_hub(params: BackboneParams, timm_id: str, name: str) -> LocatedWeights:
    path, repository, commit = fetch_from_hub(timm_id, params.revision)
    sha256 = sha256_of(path)
    _verify_sha256(
        sha256, params.sha256, f"backbones.{name}: {repository}", f"delete {path.resolve()} to fetch it again"
    )
    if params.revision != commit:
        note(f"{repository} is at {commit}, SHA-256 {sha256} (set backbones.{name}.revision to this commit to pin it)")
    entry = timm.get_pretrained_cfg(timm_id)
    return LocatedWeights(
        path, Provenance("hub", f"{repository}/{path.name}", commit, sha256, entry.license if entry else None)
    )


def _on_disk(params: BackboneParams, name: str) -> LocatedWeights:
    path = Path(params.weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"backbones.{name}.weights: {path}: no such file; give none, hub, torchvision, or a URL or path of a state "
            "dict"
        )
    sha256 = sha256_of(path)
    _verify_sha256(sha256, params.sha256, f"backbones.{name}: {path}", "give the file that is meant")
    return LocatedWeights(path, Provenance("file", path.name, None, sha256, None))


@contextmanager
def _downloaded(url: str, sha256: str | None, name: str) -> Iterator[Path]:
    named = HASH_IN_NAME.search(remote_name(url))
    expected = sha256 or (named[1] if named else "")
    known = Path(torch.hub.get_dir(), "checkpoints", remote_name(url))
    if expected and known.is_file() and sha256_of(known).startswith(expected):
        yield known  # PyTorch has fetched it for somebody on this machine
        return
    with resumable_dir("weights", url) as folder:
        path = folder / remote_name(url)
        if not path.is_file():
            _fetch(url, folder, name, pinned=len(expected) == WHOLE).rename(path)
        found = sha256_of(path)
        if not found.startswith(expected):
            path.unlink()
        _verify_sha256(found, expected, f"backbones.{name}: {without_secrets(url)}", "run again to fetch it anew")
        if not expected:
            note(
                f"{path.name}: SHA-256 {found} (set backbones.{name}.sha256 to insist on it; a change there goes "
                f"unnoticed: `dvc repro --force weights@{name}` looks again)"
            )
        yield path


def _fetch(url: str, folder: Path, name: str, *, pinned: bool) -> Path:
    policy = TransferPolicy(
        attempts=ATTEMPTS,
        timeout=TIMEOUT,
        max_bytes=MOST_BYTES,
        pinned=pinned,
        local_copy=f"name a local copy as backbones.{name}.weights",
        bound="a weights file",
    )
    try:
        with byte_progress(f"download {name}") as report:
            return fetch(url, folder, policy=policy, report=report)
    except SourceError as error:
        raise WeightsError(f"backbones.{name}.weights: {error}") from error


def _verify_sha256(found: str, expected: str | None, what: str, remedy: str) -> None:
    if expected and not found.startswith(expected):
        raise WeightsError(f"{what} has SHA-256 {found}, not {expected}; {remedy}, or correct sha256")


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
        check_torchvision_init(params.timm)
    card = describe_backbone(name, params.timm, params.options).model_copy(
        update={"init": params.init, "layer_norm_eps": params.layer_norm_eps}
    )
    if params.weights == "none":
        write_card(card, folder)
        return
    with located(params, params.timm, name) as source:
        fitted = fitted_tensors(source.path, params.timm, params.options)
        with catch_disk_full(folder, sum(tensor.nbytes for tensor in fitted.tensors.values())):
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
    tensors = to_timm_names(read, model)
    features = drop_foreign_classifier(tensors, model)
    try:
        if features is None:
            model = create_timm_model(timm_id, options, dict(tensors))
        else:
            model = create_timm_model(timm_id, options, dict(features), headless=True)
    except (RuntimeError, KeyError, AttributeError, ModelError) as error:
        text = describe_mismatch(tensors, model) or " ".join(str(error).split())
        raise WeightsError(f"{path}: does not fit {timm_id}: {text}; give weights of this very model") from error
    if features is not None:
        note(f"{path.name}: no classifier of {timm_id}'s classes in it; it serves train.features pooled alone")
    stored = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return Fitted(stored, is_from_torchvision(read))
