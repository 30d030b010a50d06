"""Bring the weights of a mask source to one hashed, shareable file; later stages touch no network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.acquisition.model_folder import find_model
from pipeline.acquisition.transfer import TransferPolicy, fetch
from pipeline.params.base import load_settings
from pipeline.params.masks import (
    OFFICIAL,
    RANDOM,
    FastSamWeightsParams,
    MaskWeightsParams,
    PromptableWeightsParams,
    SamWeightsParams,
    SourceName,
)
from pipeline.runtime.console import byte_progress, note
from pipeline.runtime.errors import SourceError, WeightsError
from pipeline.runtime.resources import catch_disk_full
from pipeline.runtime.resumable import resumable_dir
from pipeline.segmentation.registry import not_installed
from pipeline.segmentation.weights import (
    FASTSAM_FILES,
    FASTSAM_LICENCE,
    HUB_LICENCES,
    SAM_FILES,
    SAM_LICENCE,
    MaskWeightsCard,
    OfficialFile,
    verify_weights_file,
    write_card,
)

SAM_STORED, FASTSAM_STORED = "model.safetensors", "model.pt"
ATTEMPTS, TIMEOUT = 8, 30.0
"""Tries of a transfer without a new byte, and seconds without one after which a try has failed."""


class _VerifiedFile(NamedTuple):
    """A file whose hash was compared."""

    path: Path
    sha256: str
    official: bool


def fetch_mask_weights(source: SourceName, *, settings: Path, output: Path) -> None:
    """Write `output/mask_weights.json` and, unless the source has none, the weights beside it.

    Raises:
        ParamsError: If the settings do not fit, or the source needs a package that is not installed.
        WeightsError: If the weights cannot be had, are other ones than pinned, or do not fit.
    """
    output.mkdir(parents=True, exist_ok=True)
    try:
        match source:
            case "annotation" | "grabcut":
                none = {"architecture": None, "file": None, "sha256": None, "licence": None, "stored": None}
                card = MaskWeightsCard(source=source, origin="none", **none)
            case "sam":
                card = _store_sam(load_settings(SamWeightsParams, settings), output / SAM_STORED)
            case "fastsam":
                card = _store_fastsam(load_settings(FastSamWeightsParams, settings), output / FASTSAM_STORED)
            case _:
                card = _store_promptable(source, load_settings(PromptableWeightsParams, settings), output)
    except ModuleNotFoundError as error:
        raise not_installed(source, error) from error
    write_card(card, output)


def _store_sam(params: SamWeightsParams, stored: Path) -> MaskWeightsCard:
    from pipeline.models import device  # noqa: PLC0415 - torch, only where a network was chosen
    from pipeline.segmentation import sam  # noqa: PLC0415

    device.set_deterministic(threads=1, seed=0)
    if params.weights == RANDOM:
        sam.write_sam(sam.random_tensors(params.architecture), stored)
        return _card("sam", params, stored)
    with _located(params, SAM_FILES.get(params.architecture), sam.download_hint(params.architecture)) as file:
        tensors = sam.read_sam_tensors(file.path, params.architecture)
        sam.with_tensors(tensors, params.architecture, file.path)
        sam.write_sam(tensors, stored)
        return _card("sam", params, stored, file)


def _store_fastsam(params: FastSamWeightsParams, stored: Path) -> MaskWeightsCard:
    from pipeline.models import device  # noqa: PLC0415 - torch, only where a network was chosen
    from pipeline.segmentation import fastsam  # noqa: PLC0415

    device.set_deterministic(threads=1, seed=0)
    if params.weights == RANDOM:
        fastsam.write_random(params.architecture, stored)
        return _card("fastsam", params, stored)
    with _located(params, FASTSAM_FILES.get(params.architecture), fastsam.download_hint()) as file:
        fastsam.load_fastsam(file.path)
        shutil.copyfile(file.path, stored)
        return _card("fastsam", params, stored, file)


def _store_promptable(source: SourceName, params: PromptableWeightsParams, output: Path) -> MaskWeightsCard:
    from pipeline.segmentation import promptable  # noqa: PLC0415 - torch and transformers, only where they were chosen

    found = find_model(f"masks.transformers.{source}", params.model, params.revision)
    with catch_disk_full(output, sum(path.stat().st_size for path in found.files.values())):
        for name, path in found.files.items():
            shutil.copyfile(path, output / name)
    model, _ = promptable.load_promptable(output)
    licence = next((licence for start, licence in HUB_LICENCES.items() if params.model.startswith(start)), None)
    return MaskWeightsCard(
        source=source,
        architecture=model.config.model_type,
        origin="folder" if found.local else "hub",
        file=found.name,
        sha256=found.sha256(),
        licence=None if found.local else licence,
        stored=found.tensors[0],
    )


def _card(
    source: SourceName, params: MaskWeightsParams, stored: Path, file: _VerifiedFile | None = None
) -> MaskWeightsCard:
    """Return the card of a file, or of random weights."""
    licence = SAM_LICENCE if source == "sam" else FASTSAM_LICENCE
    return MaskWeightsCard(
        source=source,
        architecture=params.architecture,
        origin="random" if file is None else "official" if file.official else "file",
        file=file.path.name if file else None,
        sha256=file.sha256 if file else None,
        licence=licence if file and file.official else None,
        stored=stored.name,
    )


@contextmanager
def _located(params: MaskWeightsParams, official: OfficialFile | None, remedy: str) -> Iterator[_VerifiedFile]:
    """Bring the file of weights to this machine for the time of the block, and check its SHA-256."""
    if params.weights != OFFICIAL:
        path = Path(params.weights).expanduser()
        sha256 = verify_weights_file(path, official, params.sha256, remedy=remedy)
        yield _VerifiedFile(path, sha256, official=official is not None and sha256 == official.sha256)
        return
    if official is None:
        raise WeightsError(remedy)
    with resumable_dir("mask_weights", official.url) as folder:
        path = folder / official.name
        if not path.is_file():
            note(f"fetching {official.url}")
            policy = TransferPolicy(
                attempts=ATTEMPTS,
                timeout=TIMEOUT,
                max_bytes=official.size,
                pinned=True,
                local_copy=remedy,
                bound="the official file",
            )
            try:
                with byte_progress(official.name) as report:
                    fetch(official.url, folder, policy=policy, report=report).replace(path)
            except SourceError as error:
                raise WeightsError(str(error) if remedy in str(error) else f"{error}; or {remedy}") from error
        try:
            sha256 = verify_weights_file(path, official, params.sha256, remedy=remedy)
            yield _VerifiedFile(path, sha256, official=True)
        except WeightsError:
            path.unlink(missing_ok=True)  # a wrong file must not be taken up by the next try
            raise
