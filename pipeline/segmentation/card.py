"""`mask_weights.json`: which weights a mask source has and where they came from; nothing that varies by machine."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pipeline.errors import WeightsError
from pipeline.params.base import Section, describe
from pipeline.params.commands import dvc_command
from pipeline.params.masks import SourceName

CARD = "mask_weights.json"


class MaskWeightsCard(Section):
    """Weights of one mask source."""

    source: SourceName
    """Mask source."""
    architecture: str | None
    """Size of the network; null for annotation."""
    origin: Literal["none", "official", "random", "file"]
    """Where the weights came from; `random` means that masks mean nothing."""
    file: str | None
    """Name of the fetched file, without folders."""
    sha256: str | None
    """Hexadecimal SHA-256 of the fetched file."""
    licence: str | None
    """Licence of the official weights; null for others."""
    stored: str | None
    """Name of the file beside the card that holds the weights."""


def read_card(folder: Path) -> MaskWeightsCard:
    """Read `folder/mask_weights.json`.

    Raises:
        WeightsError: If it is absent or damaged.
    """
    path = folder / CARD
    try:
        return MaskWeightsCard.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: absent; {_remedy(folder)}") from error
    except ValidationError as error:
        raise WeightsError(f"{path}: {describe(error)}; {_remedy(folder, again=True)}") from error


def _remedy(folder: Path, *, again: bool = False) -> str:
    if folder.parent.name != "mask_weights":
        return "give a folder that stage mask_weights wrote, such as data/mask_weights/sam, or a file of weights"
    return f"run {dvc_command(f'mask_weights@{folder.name}', again=again)}"


def write_card(card: MaskWeightsCard, folder: Path) -> None:
    """Write `folder/mask_weights.json`."""
    card.write(folder / CARD)
