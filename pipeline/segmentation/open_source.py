"""Open the mask source whose weights stage `mask_weights` stored; a further source is one more case here.

Each source is imported only where it was chosen, so that everything else works without its package.
"""

from pathlib import Path
from typing import cast

from pipeline.errors import ParamsError
from pipeline.params.masks import FastSamDecoding, SamArchitectureName, SamDecoding
from pipeline.segmentation.card import MaskWeightsCard, read_card
from pipeline.segmentation.source import MaskSource

PACKAGES = {"sam": "segment-anything", "fastsam": "ultralytics-opencv-headless (AGPL-3.0)"}
"""What a source needs beyond everything else."""


def open_source(folder: Path, *, device: str, decoding: SamDecoding | FastSamDecoding | None = None) -> MaskSource:
    """Return the source of a folder of `data/mask_weights`.

    Args:
        folder: Card and weights.
        device: `cpu`, `cuda`, `cuda:1` or `mps`.
        decoding: How it answers prompts; its own defaults where absent.

    Raises:
        ParamsError: If the source needs a package that is not installed, or is annotation, which answers no prompts.
        WeightsError: If card or weights are absent or damaged.
    """
    card = read_card(folder)
    if card.stored is None:
        raise ParamsError(f"{folder}: {card.source} answers no prompts; choose sam or fastsam")
    try:
        return _opened(card, folder / card.stored, device, decoding)
    except ModuleNotFoundError as error:
        raise not_installed(card.source, error) from error


def not_installed(source: str, error: ModuleNotFoundError) -> ParamsError:
    """Return the error that says which package a source lacks."""
    return ParamsError(
        f"masks: {source} needs the package {PACKAGES[source]}, and {error.name} is not installed; "
        "install requirements.txt whole, or choose another source"
    )


def _opened(
    card: MaskWeightsCard, weights: Path, device: str, decoding: SamDecoding | FastSamDecoding | None
) -> MaskSource:
    if card.source == "sam":
        from pipeline.segmentation import sam  # noqa: PLC0415

        own = decoding if isinstance(decoding, SamDecoding) else sam.DECODING
        return sam.Sam(
            weights, architecture=cast("SamArchitectureName", card.architecture), device=device, decoding=own
        )
    from pipeline.segmentation import fastsam  # noqa: PLC0415

    return fastsam.FastSam(
        weights, device=device, decoding=decoding if isinstance(decoding, FastSamDecoding) else fastsam.DECODING
    )
