"""Where pre-trained weights come from: the hub, torchvision's files, a URL or a path; each held to its hash."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import timm
import torch

from pipeline.acquisition.source import is_remote, remote_name
from pipeline.acquisition.transfer import TransferPolicy, fetch
from pipeline.console import byte_progress, note
from pipeline.errors import SourceError, WeightsError
from pipeline.manifest import sha256_of
from pipeline.models.hub import fetch_from_hub
from pipeline.models.torchvision_weights import is_official, official_file
from pipeline.params.model import BackboneParams
from pipeline.url_secrets import without_secrets
from pipeline.workspace import unfinished

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


class Source(NamedTuple):
    """Where weights lie on this machine, and what may be told about them on every machine."""

    path: Path
    """The file."""
    provenance: Provenance


@contextmanager
def located(params: BackboneParams, timm_id: str, name: str) -> Iterator[Source]:
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
    elif is_official(params.weights):
        file = official_file(timm_id, params.weights)
        with _downloaded(file.url, params.sha256, name) as path:
            yield Source(path, Provenance("torchvision", file.url, None, sha256_of(path), file.licence))
    elif is_remote(params.weights):
        with _downloaded(params.weights, params.sha256, name) as path:
            yield Source(path, Provenance("url", without_secrets(params.weights), None, sha256_of(path), None))
    else:
        yield _on_disk(params, name)


def _on_hub(params: BackboneParams, timm_id: str, name: str) -> Source:
    path, repository, commit = fetch_from_hub(timm_id, params.revision)
    sha256 = sha256_of(path)
    _insist(sha256, params.sha256, f"backbones.{name}: {repository}", f"delete {path.resolve()} to fetch it again")
    if params.revision != commit:
        note(f"{repository} is at {commit}, SHA-256 {sha256} (set backbones.{name}.revision to this commit to pin it)")
    entry = timm.get_pretrained_cfg(timm_id)
    return Source(
        path, Provenance("hub", f"{repository}/{path.name}", commit, sha256, entry.license if entry else None)
    )


def _on_disk(params: BackboneParams, name: str) -> Source:
    path = Path(params.weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"backbones.{name}.weights: {path}: no such file; give none, hub, torchvision, or a URL or path of a state "
            "dict"
        )
    sha256 = sha256_of(path)
    _insist(sha256, params.sha256, f"backbones.{name}: {path}", "give the file that is meant")
    return Source(path, Provenance("file", path.name, None, sha256, None))


@contextmanager
def _downloaded(url: str, sha256: str | None, name: str) -> Iterator[Path]:
    named = HASH_IN_NAME.search(remote_name(url))
    expected = sha256 or (named[1] if named else "")
    known = Path(torch.hub.get_dir(), "checkpoints", remote_name(url))
    if expected and known.is_file() and sha256_of(known).startswith(expected):
        yield known  # PyTorch has fetched it for somebody on this machine
        return
    with unfinished("weights", url) as folder:
        path = folder / remote_name(url)
        if not path.is_file():
            _fetch(url, folder, name, pinned=len(expected) == WHOLE).rename(path)
        found = sha256_of(path)
        if not found.startswith(expected):
            path.unlink()
        _insist(found, expected, f"backbones.{name}: {without_secrets(url)}", "run again to fetch it anew")
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


def _insist(found: str, expected: str | None, what: str, remedy: str) -> None:
    if expected and not found.startswith(expected):
        raise WeightsError(f"{what} has SHA-256 {found}, not {expected}; {remedy}, or correct sha256")
