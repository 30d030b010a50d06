"""Open a mask source by name: one of `FACTORIES`, else a model of the package transformers.

Each source is imported only when it is opened, so that everything else works without its package.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, cast, get_args

from pipeline.params.masks import FastSamDecoding, SamArchitectureName, SamDecoding
from pipeline.runtime.errors import ParamsError, WeightsError
from pipeline.runtime.manifest import open_checked
from pipeline.runtime.stores import Place
from pipeline.segmentation.mask_source import SAM_DECODING, MaskSource
from pipeline.segmentation.proposals import CandidateSource
from pipeline.segmentation.weights import read_card

Decoding: TypeAlias = SamDecoding | FastSamDecoding  # how a source predicts from prompts

PACKAGES = {  # package of each source, and the command that installs it
    "sam": ("segment-anything", "make install WITHOUT="),
    "fastsam": ("ultralytics-opencv-headless (AGPL-3.0)", "make install WITHOUT="),
    "transformers": ("transformers", "pip install -r requirements-transformers.txt"),
}


def create_source(folder: Path, *, device: str, decoding: Decoding | None = None) -> MaskSource:
    """Return the source of a folder of `data/mask_weights`; a `ParamsError` for one without a network."""
    card = read_card(folder)
    if card.stored is None:
        raise ParamsError(f"{folder}: {card.source} answers no clicks; choose {' or '.join(FACTORIES)}")
    weights = folder / card.stored if card.source in FACTORIES else folder
    architecture = card.architecture
    return create_source_from_file(card.source, weights, architecture=architecture, device=device, decoding=decoding)


def create_verified_source(
    weights: Place, hashes: Mapping[str, str], *, device: str, decoding: Decoding | None = None
) -> MaskSource:
    """Return the source of a folder of `data/mask_weights`, or of a copy on object storage; see `create_source`.

    Raises:
        WeightsError: If a file of the copy is absent or has another SHA-256 than in `hashes`, by name.
    """
    if isinstance(weights, Path):
        return create_source(weights, device=device, decoding=decoding)
    advice = "copy data/mask_weights to runtime.mirror again"
    with TemporaryDirectory() as folder:
        for name, sha256 in hashes.items():
            absent = WeightsError(f"{weights}/{name}: is not there; {advice}")
            changed = WeightsError(f"{weights}/{name}: is another one than here; {advice}")
            with open_checked(weights, name, sha256, absent=absent, changed=changed) as path:
                shutil.move(path, Path(folder, name))
        return create_source(Path(folder), device=device, decoding=decoding)


def create_source_from_file(
    source: str, weights: Path, *, architecture: str | None, device: str, decoding: Decoding | None = None
) -> MaskSource:
    """Return a source with the weights of a file, or of a folder as transformers saves a model.

    Args:
        source: Name of the source.
        weights: File or folder.
        architecture: That of SAM's weights; other files say it themselves.
        device: `cpu`, `cuda`, `cuda:1` or `mps`.
        decoding: How it predicts; None for the source's own defaults.

    Raises:
        ParamsError: If there is no such source, or it needs a package that is not installed.
        WeightsError: If the weights are absent or damaged.
    """
    if source not in FACTORIES and not weights.is_dir():
        names = ", ".join(FACTORIES)
        raise ParamsError(f"mask source {source!r} is not one of {names}, nor {weights} the folder of a further model")
    try:
        if source in FACTORIES:
            return FACTORIES[source](weights, architecture, device, decoding)
        return _open_promptable(weights, source, device, decoding)
    except ModuleNotFoundError as error:
        raise not_installed(source, error) from error


def open_text_source(weights: Path, texts: Sequence[str], device: str, min_score: float) -> CandidateSource:
    """Return SAM 3 as the source of what texts name, see `TextSource`; devices are `auto`, `cpu`, `cuda`, `mps`.

    Raises:
        ParamsError: If a text cannot be looked for, transformers is not installed, or the device is not there.
        WeightsError: If the folder is absent or damaged, or of another model.
    """
    if not weights.is_dir():
        raise WeightsError(
            f"{weights}: no such folder; --text needs SAM 3, whose weights are gated, under the SAM License: accept it "
            "on the hub, then `python -m stages.mask_weights --source sam3`, or give the folder by its option"
        )
    try:
        from pipeline.segmentation import promptable  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise not_installed("sam3", error) from error
    from pipeline.models.device import pick_device  # noqa: PLC0415 - torch takes seconds

    return promptable.TextSource(weights, texts, device=pick_device(device, "device"), min_score=min_score)


def not_installed(source: str, error: ModuleNotFoundError) -> ParamsError:
    """Return the error that says which package a source lacks."""
    package, command = PACKAGES.get(source, PACKAGES["transformers"])
    return ParamsError(
        f"mask source {source} needs the package {package}, and {error.name} is not installed; "
        f"`{command}` installs it, or choose another source"
    )


def _open_sam(weights: Path, architecture: str | None, device: str, decoding: Decoding | None) -> MaskSource:
    from pipeline.segmentation.sam import Sam  # noqa: PLC0415

    if architecture not in (known := get_args(SamArchitectureName)):
        raise ParamsError(f"SAM architecture {architecture!r} is not one of {', '.join(known)}")
    own = decoding if isinstance(decoding, SamDecoding) else SAM_DECODING
    return Sam(weights, architecture=cast("SamArchitectureName", architecture), device=device, decoding=own)


def _open_fastsam(weights: Path, _: str | None, device: str, decoding: Decoding | None) -> MaskSource:
    from pipeline.segmentation import fastsam  # noqa: PLC0415

    own = decoding if isinstance(decoding, FastSamDecoding) else fastsam.DECODING
    return fastsam.FastSam(weights, device=device, decoding=own)


def _open_promptable(folder: Path, name: str, device: str, decoding: Decoding | None) -> MaskSource:
    from pipeline.segmentation.promptable import Promptable  # noqa: PLC0415

    own = decoding if isinstance(decoding, SamDecoding) else SAM_DECODING
    return Promptable(folder, name=name, device=device, decoding=own)


FACTORIES = {"sam": _open_sam, "fastsam": _open_fastsam}  # sources whose weights are one file; of others, a folder
