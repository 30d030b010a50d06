"""Pre-trained weights of timm models: files of the Hugging Face hub, and torchvision's official ones."""

import re
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RevisionNotFoundError

from pipeline.models.state_dicts import describe_mismatch, to_timm_names
from pipeline.runtime.errors import WeightsError, one_line
from pipeline.runtime.hub import TRANSPORT_ERROR, hub_answers

FILE_NAMES = ("model.safetensors", "pytorch_model.bin")  # names timm's repositories use, the safe one first
COMMIT = re.compile("[0-9a-f]{40}")


class HubFile(NamedTuple):
    """A file of the hub on this machine."""

    path: Path  # its folder is named after the commit
    repository: str  # for instance `timm/mobilenetv2_100.ra_in1k`
    commit: str


def fetch_from_hub(timm_id: str, revision: str) -> HubFile:
    """Download the weights of a timm model, or find them in the hub's cache on this machine.

    A commit that is cached needs no connection. A broken download goes on where it stopped.

    Raises:
        WeightsError: If timm lists no weights for the model, the hub has no such revision or file, the transfer breaks,
            or there is no connection and no cached copy.
    """
    entry = timm.get_pretrained_cfg(timm_id)
    if entry is None or not entry.hf_hub_id:
        raise WeightsError(f"timm lists no weights on the hub for {timm_id!r}; set weights to a path or to none")
    repository, names = entry.hf_hub_id, (entry.hf_hub_filename,) if entry.hf_hub_filename else FILE_NAMES
    if COMMIT.fullmatch(revision):
        for name in names:
            found = try_to_load_from_cache(repository, name, revision=revision)
            if isinstance(found, str):
                return HubFile(Path(found), repository, revision)
    offline = not hub_answers()
    for name in names:
        try:
            path = Path(hf_hub_download(repository, name, revision=revision, local_files_only=offline))
        except RevisionNotFoundError as error:
            raise WeightsError(
                f"hub repository {repository} has no revision {revision!r}; a commit belongs to one model: set "
                "backbones.<name>.revision to one of this repository, or to main"
            ) from error
        except LocalEntryNotFoundError as error:
            raise WeightsError(
                f"the hub cannot be reached and {name} of {repository} ({revision}) is not cached; fetch that file on "
                "another machine and set backbones.<name>.weights to its path, or run `dvc pull weights`"
            ) from error
        except EntryNotFoundError:
            continue
        except (TRANSPORT_ERROR, OSError) as error:
            raise WeightsError(f"hub repository {repository}: {one_line(error)}; run again to go on") from error
        return HubFile(path, repository, path.parent.name)
    raise WeightsError(f"hub repository {repository} at {revision!r} has none of {', '.join(names)}")


PREFIX = "torchvision"
DEFAULT_ENTRY = "IMAGENET1K_V1"
"""Entry that plain `torchvision` stands for: the weights `pretrained=True` always gave, those of the paper's time."""
ARCHITECTURES = {
    "mobilenetv2_100": "mobilenet_v2",
    "vit_base_patch16_224": "vit_b_16",
    "vit_base_patch32_224": "vit_b_32",
    "vit_large_patch16_224": "vit_l_16",
}
"""torchvision's name of an architecture by timm's, where they differ."""
LICENCE = "bsd-3-clause"
"""Licence under which timm lists torchvision's own weights; SWAG's are under another, which torchvision names."""


class TorchvisionFile(NamedTuple):
    """One weights file of torchvision; the first 8 digits of its SHA-256 are part of its name."""

    url: str
    licence: str


def is_torchvision(weights: str) -> bool:
    """Tell whether `weights` asks for torchvision's file."""
    return weights.partition(":")[0] == PREFIX


def find_torchvision_file(timm_id: str, weights: str) -> TorchvisionFile:
    """Return the file for a timm model; nothing is downloaded.

    Args:
        timm_id: Model.
        weights: `torchvision`, or `torchvision:<entry>`, for instance `torchvision:IMAGENET1K_V2`.

    Raises:
        WeightsError: If torchvision has no such model or entry, or its layers are not timm's.
    """
    # It costs a second, and is needed for one source.
    from torchvision.models import get_model, get_model_weights  # noqa: PLC0415

    architecture = timm_id.partition(".")[0]
    name = ARCHITECTURES.get(architecture, architecture)
    try:
        entries = get_model_weights(name)
    except ValueError as error:
        raise WeightsError(
            f"torchvision has no weights for {timm_id!r}; set weights to hub, a URL or a path"
        ) from error
    with torch.device("meta"):  # the layers are compared before anything is downloaded, on models without memory
        theirs, ours = get_model(name).state_dict(), timm.create_model(architecture)
    if different := describe_mismatch(to_timm_names(theirs, ours), ours):
        raise WeightsError(
            f"torchvision's {name} has other layers than timm's {architecture} ({different}); set weights to hub"
        )
    entry = weights.partition(":")[2] or DEFAULT_ENTRY
    if entry not in entries.__members__:
        raise WeightsError(f"torchvision has no weights {entry!r} of {name}; choose {', '.join(entries.__members__)}")
    return TorchvisionFile(entries[entry].url, entries[entry].meta.get("license", LICENCE))
