"""The Hugging Face hub: fetch one weights file of a timm model at one revision."""

from pathlib import Path
from typing import NamedTuple

import requests
import timm
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RevisionNotFoundError,
)

from pipeline.errors import WeightsError

FILE_NAMES = ("model.safetensors", "pytorch_model.bin")
"""Names timm's repositories use, the safe one first."""
PATIENCE = 10.0
"""Seconds without an answer after which the hub counts as out of reach."""


class HubFile(NamedTuple):
    """A file of the hub on this machine."""

    path: Path
    """Where it lies; its folder is named after the commit."""
    repository: str
    """Repository id, for instance `timm/mobilenetv2_100.ra_in1k`."""
    commit: str
    """Commit the revision stood for."""


def fetch_from_hub(timm_id: str, revision: str) -> HubFile:
    """Download the weights of a timm model, or find them in the hub's cache on this machine.

    Raises:
        WeightsError: If timm lists no weights for the model, the hub has no such revision or file, or there is no
            connection and no cached copy.
    """
    entry = timm.get_pretrained_cfg(timm_id)
    if entry is None or not entry.hf_hub_id:
        raise WeightsError(f"timm lists no weights on the hub for {timm_id!r}; set weights to a path or to none")
    names = (entry.hf_hub_filename,) if entry.hf_hub_filename else FILE_NAMES
    offline = not _reachable()
    for name in names:
        try:
            path = Path(hf_hub_download(entry.hf_hub_id, name, revision=revision, local_files_only=offline))
        except RevisionNotFoundError as error:
            raise WeightsError(f"hub repository {entry.hf_hub_id} has no revision {revision!r}") from error
        except LocalEntryNotFoundError as error:
            raise WeightsError(_offline(entry.hf_hub_id, name, revision)) from error
        except EntryNotFoundError:
            continue
        except HfHubHTTPError as error:
            raise WeightsError(f"hub repository {entry.hf_hub_id}: {' '.join(str(error).split())}") from error
        return HubFile(path, entry.hf_hub_id, path.parent.name)
    raise WeightsError(f"hub repository {entry.hf_hub_id} at {revision!r} has none of {', '.join(names)}")


def _reachable() -> bool:
    """Ask once: the library itself tries for 23 seconds and prints every try."""
    try:
        requests.head(constants.ENDPOINT, timeout=PATIENCE)
    except requests.RequestException:
        return False
    return not constants.HF_HUB_OFFLINE


def _offline(repository: str, name: str, revision: str) -> str:
    return (
        f"the hub cannot be reached and {name} of {repository} ({revision}) is not cached; fetch that file on another "
        "machine and set backbones.<name>.weights to its path, or run `dvc pull weights`"
    )
