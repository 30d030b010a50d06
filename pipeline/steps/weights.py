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
from pipeline.models import state_dicts
from pipeline.models.backbone import check_timm_id, check_torchvision_init, create_timm_model
from pipeline.models.card import CARD, WEIGHTS, BackboneCard
from pipeline.models.pretrained import fetch_from_hub, find_torchvision_file, is_torchvision
from pipeline.params.model import BackboneParams
from pipeline.runtime.console import byte_progress, note
from pipeline.runtime.errors import ModelError, SourceError, WeightsError, one_line, without_secrets
from pipeline.runtime.manifest import sha256_of
from pipeline.runtime.resources import catch_disk_full
from pipeline.runtime.resumable import resumable_dir

HASH_IN_NAME = re.compile(r"-(?!(?:19|20)\d{6}\.)([0-9a-f]{8,64})\.\w+$")
"""First digits of a file's SHA-256 at the end of its name, as PyTorch's own files have it; a date is none."""
WHOLE = 64  # digits of a SHA-256: fewer tell a damaged file, and do not prove where a file comes from
MOST_BYTES = 20 * 10**9  # more than any model of timm takes


class Provenance(NamedTuple):
    """Fields of a backbone's card."""

    source: Literal["hub", "torchvision", "url", "file"]
    file: str  # without folders of this machine, passwords or signatures
    revision: str | None  # commit on the hub
    sha256: str
    licence: str | None  # as the source states it


@contextmanager
def located(params: BackboneParams, timm_id: str, name: str) -> Iterator[tuple[Path, Provenance]]:
    """Bring a backbone's weights to this machine for the time of the block; a broken download goes on next time.

    The source is not none; `name` of the backbone is for messages.

    Raises:
        WeightsError: If the weights cannot be had, or are not those that were asked for.
    """
    if params.weights == "hub":
        path, repository, commit = fetch_from_hub(timm_id, params.revision)
        sha256, again = sha256_of(path), f"delete {path.resolve()} to fetch it again"
        _verify_sha256(sha256, params.sha256, f"backbones.{name}: {repository}", again)
        if params.revision != commit:
            pin = f"set backbones.{name}.revision to this commit to pin it"
            note(f"{repository} is at {commit}, SHA-256 {sha256} ({pin})")
        entry = timm.get_pretrained_cfg(timm_id)
        yield path, Provenance("hub", f"{repository}/{path.name}", commit, sha256, entry.license if entry else None)
    elif is_torchvision(params.weights):
        file = find_torchvision_file(timm_id, params.weights)
        with _downloaded(file.url, params.sha256, name) as path:
            yield path, Provenance("torchvision", file.url, None, sha256_of(path), file.licence)
    elif is_http_url(params.weights):
        with _downloaded(params.weights, params.sha256, name) as path:
            yield path, Provenance("url", without_secrets(params.weights), None, sha256_of(path), None)
    else:
        path = Path(params.weights).expanduser()
        if not path.is_file():
            give = "give none, hub, torchvision, or a URL or path of a state dict"
            raise WeightsError(f"backbones.{name}.weights: {path}: no such file; {give}")
        sha256 = sha256_of(path)
        _verify_sha256(sha256, params.sha256, f"backbones.{name}: {path}", "give the file that is meant")
        yield path, Provenance("file", path.name, None, sha256, None)


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
            whole, local = len(expected) == WHOLE, f"name a local copy as backbones.{name}.weights"
            policy = TransferPolicy(MOST_BYTES, pinned=whole, local_copy=local, bound="a weights file")
            try:
                with byte_progress(f"download {name}") as report:
                    fetch(url, folder, policy=policy, report=report).rename(path)
            except SourceError as error:
                raise WeightsError(f"backbones.{name}.weights: {error}") from error
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


def _verify_sha256(found: str, expected: str | None, what: str, remedy: str) -> None:
    if expected and not found.startswith(expected):
        raise WeightsError(f"{what} has SHA-256 {found}, not {expected}; {remedy}, or correct sha256")


Options: TypeAlias = Mapping[str, Any]  # keyword arguments for `timm.create_model`

ABSENT = BackboneCard(
    name="none", timm=None, options={}, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), input_size=0,
    source="none", file=None, revision=None, sha256=None, licence=None,
)  # fmt: skip
TORCHVISION_NORMALISATION = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
"""What torchvision trained its models with; timm's entry speaks of timm's weights, which may differ."""


def fetch_weights(params: BackboneParams, *, name: str, weights: Path) -> None:
    """Write `weights/<name>/backbone.json` and, unless weights are none, `weights/<name>/model.safetensors`.

    The files do not depend on where the source lay, so teammates with other paths share them.

    Raises:
        ModelError: If timm does not know the model or refuses an option.
        WeightsError: If the weights cannot be had or do not fit.
    """
    folder = weights / name
    folder.mkdir(parents=True, exist_ok=True)
    if params.timm is None:
        ABSENT.model_copy(update={"name": name}).write(folder / CARD)
        return
    check_timm_id(params.timm)  # before any download
    if params.init == "torchvision":
        check_torchvision_init(params.timm)
    chosen = {"init": params.init, "layer_norm_eps": params.layer_norm_eps}
    card = describe_backbone(name, params.timm, params.options).model_copy(update=chosen)
    if params.weights == "none":
        card.write(folder / CARD)
        return
    with located(params, params.timm, name) as (path, provenance):
        tensors, by_torchvision = fitted_tensors(path, params.timm, params.options)
        with catch_disk_full(folder, sum(tensor.nbytes for tensor in tensors.values())):
            state_dicts.write_tensors(tensors, folder / WEIGHTS)
    normalisation = TORCHVISION_NORMALISATION if by_torchvision or provenance.source == "torchvision" else {}
    stored = {"stored_sha256": sha256_of(folder / WEIGHTS)}
    card.model_copy(update=provenance._asdict() | normalisation | stored).write(folder / CARD)


def describe_backbone(name: str, timm_id: str, options: Options) -> BackboneCard:
    """Return the card of a randomly initialised backbone, with timm's word on its normalisation and input size."""
    entry = timm.get_pretrained_cfg(timm_id)
    size = options.get("img_size", entry.input_size[-1] if entry else 0)
    mean, std = (entry.mean, entry.std) if entry else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    known = {"mean": tuple(mean), "std": tuple(std), "input_size": size, "licence": entry.license if entry else None}
    return ABSENT.model_copy(update={"name": name, "timm": timm_id, "options": options} | known)


def fitted_tensors(path: Path, timm_id: str, options: Options) -> tuple[dict[str, Tensor], bool]:
    """Return the tensors of a file as the model holds them: timm's names, position embeddings of its size.

    A classifier that is absent, or of another number of classes, is left out. Also tell whether the file has
    torchvision's names.

    Raises:
        WeightsError: If the file is not readable or a tensor is missing, unknown or of the wrong shape.
    """
    model = create_timm_model(timm_id, options)
    read = state_dicts.read_tensors(path)
    tensors = state_dicts.to_timm_names(read, model)
    features = state_dicts.drop_foreign_classifier(tensors, model)
    try:
        given = dict(tensors if features is None else features)
        model = create_timm_model(timm_id, options, given, headless=features is not None)
    except (RuntimeError, KeyError, AttributeError, ModelError) as error:
        text = state_dicts.describe_mismatch(tensors, model) or one_line(error)
        raise WeightsError(f"{path}: does not fit {timm_id}: {text}; give weights of this very model") from error
    if features is not None:
        note(f"{path.name}: no classifier of {timm_id}'s classes in it; it serves train.features pooled alone")
    stored = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    return stored, state_dicts.is_from_torchvision(read)
