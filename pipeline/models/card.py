"""`backbone.json`: what a backbone is and where its weights came from; nothing that varies by machine."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from pipeline.errors import ModelError, WeightsError
from pipeline.params.base import Section, describe
from pipeline.params.model import Init

CARD = "backbone.json"
WEIGHTS = "model.safetensors"


class BackboneCard(Section):
    """One backbone with the provenance of its weights."""

    name: str
    """Name in section `backbones`."""
    timm: str | None
    """timm model id; null for the absent branch."""
    options: dict[str, bool | int | float | str | tuple[int, ...]]
    """Keyword arguments for `timm.create_model`."""
    mean: tuple[float, float, float]
    """Mean of the pixels the backbone expects, RGB, in [0, 1]."""
    std: tuple[float, float, float]
    """Standard deviation of the pixels, RGB, in units of [0, 1]."""
    input_size: int
    """Side in pixels of the pictures the weights were trained on; 0 for the absent branch."""
    init: Init = "timm"
    """Whose rules draw what no weights fill. Runs of earlier versions lack the field."""
    layer_norm_eps: float | None = Field(default=None, exclude_if=lambda eps: eps is None)
    """Epsilon of every layer norm; left out of the file where it is the architecture's own."""
    source: Literal["none", "hub", "file", "url", "torchvision"]
    """Where the weights came from; `none` is random initialisation."""
    file: str | None
    """Name of the source file, without folders; on the hub `<repository>/<file>`, of a download its URL."""
    revision: str | None
    """Commit of the hub repository."""
    sha256: str | None
    """Hexadecimal SHA-256 of the source file."""
    stored_sha256: str | None = Field(default=None, exclude_if=lambda digest: digest is None)
    """Hexadecimal SHA-256 of `model.safetensors` beside the card; left out where there is none."""
    licence: str | None
    """Licence as timm or torchvision states it; null where unknown, as of any other file."""

    def timm_id(self) -> str:
        """Return the timm model id.

        Raises:
            ModelError: If this is the absent branch.
        """
        if self.timm is None:
            raise ModelError(f"backbone {self.name!r} is the absent branch; it has no model")
        return self.timm


def read_card(folder: Path) -> BackboneCard:
    """Read `folder/backbone.json`.

    Raises:
        WeightsError: If it is absent or damaged.
    """
    path = folder / CARD
    try:
        return BackboneCard.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: absent; run `dvc repro weights@{folder.name}`") from error
    except ValidationError as error:
        raise WeightsError(f"{path}: {describe(error)}; run `dvc repro -f weights@{folder.name}`") from error


def write_card(card: BackboneCard, folder: Path) -> None:
    """Write `folder/backbone.json`."""
    card.write(folder / CARD)
