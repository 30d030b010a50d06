"""Mask sources by name, opened without the graph; weights are a published file, or the folder of `mask_weights`."""

from pathlib import Path
from typing import Literal, TypeAlias

from pipeline.errors import ParamsError
from pipeline.params.masks import FastSamArchitectureName, SamArchitectureName
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.official import FASTSAM_FILES, SAM_FILES, OfficialFile
from pipeline.segmentation.open_source import open_file, open_source
from pipeline.segmentation.source import MaskSource
from pipeline.segmentation.weights_file import check_file

MaskMethod: TypeAlias = Literal["grabcut", "sam", "fastsam"]


def open_method(method: MaskMethod, weights: Path | None, device: str) -> MaskSource:
    """Return the mask source called `method`.

    Args:
        method: What turns clicks and boxes into masks.
        weights: Published file, or folder that stage `mask_weights` made; for sam and fastsam.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ParamsError: If weights are missing or not wanted, a package is absent, or the device is not there.
        WeightsError: If the weights are absent, damaged, or those of another source.
    """
    if method == "grabcut":
        if weights is not None:
            raise ParamsError("--mask-weights: grabcut needs none; add --masks sam or --masks fastsam")
        return GrabCut()
    if weights is None:
        raise ParamsError(
            f"--masks {method} needs weights: --mask-weights data/mask_weights/{method}, or {_named(method)}"
        )
    if not weights.is_dir():
        check_file(weights, official_of(weights), None, wanted=f"fetch {_named(method)}")
    from pipeline.models.numerics import pick_device  # noqa: PLC0415 - torch takes seconds; grabcut needs none

    place = str(pick_device(device, "device"))
    source = open_source(weights, device=place) if weights.is_dir() else _open_file(method, weights, place)
    if source.name != method:
        raise ParamsError(
            f"--mask-weights {weights}: weights of {source.name}, not of {method}; add --masks {source.name}"
        )
    return source


def _open_file(method: MaskMethod, weights: Path, device: str) -> MaskSource:
    """Open a file by its published name, which says the architecture."""
    return open_file(method, weights, architecture=_architecture(weights) if method == "sam" else None, device=device)


def _architecture(weights: Path) -> SamArchitectureName:
    """Return the architecture that a file's name says, as all published ones do."""
    for name in SAM_FILES:
        if name in weights.name:
            return name
    raise ParamsError(
        f"--mask-weights {weights}: the name says no architecture; keep one of {', '.join(SAM_FILES)} in it"
    )


def official_of(weights: Path) -> OfficialFile | None:
    """Return the published file of this name, if there is one."""
    files = [*SAM_FILES.values(), *FASTSAM_FILES.values()]
    return next((file for file in files if file.name == weights.name), None)


def _named(method: MaskMethod) -> str:
    files: dict[SamArchitectureName, OfficialFile] | dict[FastSamArchitectureName, OfficialFile]
    files = SAM_FILES if method == "sam" else FASTSAM_FILES
    return " or ".join(file.name for file in files.values())
