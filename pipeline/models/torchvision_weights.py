"""torchvision's official weights files: which one belongs to a timm model, and where it is."""

from typing import NamedTuple

import timm
import torch

from pipeline.errors import WeightsError
from pipeline.models.state_dicts import differences, with_timm_names

PREFIX = "torchvision"
OLDEST = "IMAGENET1K_V1"
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


class OfficialFile(NamedTuple):
    """One weights file of torchvision; the first 8 digits of its SHA-256 are part of its name."""

    url: str
    licence: str


def is_official(weights: str) -> bool:
    """Tell whether `weights` asks for torchvision's file."""
    return weights.partition(":")[0] == PREFIX


def official_file(timm_id: str, weights: str) -> OfficialFile:
    """Return the file for a timm model; nothing is downloaded.

    Args:
        timm_id: timm model id.
        weights: `torchvision`, or `torchvision:<entry>`, for instance `torchvision:IMAGENET1K_V2`.

    Raises:
        WeightsError: If torchvision has no such model or entry, or its layers are not timm's.
    """
    from torchvision.models import get_model_weights  # noqa: PLC0415 - costs a second, needed for one source

    architecture = timm_id.partition(".")[0]
    name = ARCHITECTURES.get(architecture, architecture)
    try:
        entries = get_model_weights(name)
    except ValueError as error:
        raise WeightsError(
            f"torchvision has no weights for {timm_id!r}; set weights to hub, a URL or a path"
        ) from error
    _check_layers(architecture, name)
    entry = weights.partition(":")[2] or OLDEST
    if entry not in entries.__members__:
        raise WeightsError(f"torchvision has no weights {entry!r} of {name}; choose {', '.join(entries.__members__)}")
    return OfficialFile(entries[entry].url, entries[entry].meta.get("license", LICENCE))


def _check_layers(architecture: str, name: str) -> None:
    """Compare the layers of both libraries before anything is downloaded, on models without memory."""
    from torchvision.models import get_model  # noqa: PLC0415 - as above

    with torch.device("meta"):
        theirs, ours = get_model(name).state_dict(), timm.create_model(architecture)
    if different := differences(with_timm_names(theirs, ours), ours):
        raise WeightsError(
            f"torchvision's {name} has other layers than timm's {architecture} ({different}); set weights to hub"
        )
