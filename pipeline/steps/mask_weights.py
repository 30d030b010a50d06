"""Bring the weights of a mask source to one hashed, shareable file; later stages touch no network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.acquisition.transfer import TransferPolicy, fetch
from pipeline.params.base import load_settings
from pipeline.params.masks import OFFICIAL, RANDOM, FastSamWeightsParams, SamWeightsParams, SourceName
from pipeline.runtime.console import byte_progress, note
from pipeline.runtime.errors import SourceError, WeightsError
from pipeline.runtime.resumable import resumable_dir
from pipeline.segmentation.registry import not_installed
from pipeline.segmentation.weights import (
    FASTSAM_FILES,
    FASTSAM_LICENCE,
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
    origin: Literal["official", "file"]


def fetch_mask_weights(source: SourceName, *, settings: Path, output: Path) -> None:
    """Write `output/mask_weights.json` and, unless the source is annotation, the weights beside it.

    Args:
        source: Mask source.
        settings: File of its weights' settings.
        output: Folder to write.

    Raises:
        ParamsError: If the settings do not fit, or the source needs a package that is not installed.
        WeightsError: If the weights cannot be had, are other ones than pinned, or do not fit.
    """
    output.mkdir(parents=True, exist_ok=True)
    try:
        match source:
            case "annotation":
                none = {"architecture": None, "file": None, "sha256": None, "licence": None, "stored": None}
                card = MaskWeightsCard(source=source, origin="none", **none)
            case "sam":
                card = _store_sam(load_settings(SamWeightsParams, settings), output / SAM_STORED)
            case "fastsam":
                card = _store_fastsam(load_settings(FastSamWeightsParams, settings), output / FASTSAM_STORED)
    except ModuleNotFoundError as error:
        raise not_installed(source, error) from error
    write_card(card, output)


def _store_sam(params: SamWeightsParams, stored: Path) -> MaskWeightsCard:
    from pipeline.models import device  # noqa: PLC0415 - torch, only where a network was chosen
    from pipeline.segmentation import sam  # noqa: PLC0415

    device.set_deterministic(threads=1, seed=0)
    if params.weights == RANDOM:
        sam.write_sam(sam.random_tensors(params.architecture), stored)
        return _card("sam", params, None, None, stored)
    remedy = sam.download_hint(params.architecture)
    with _located(params, SAM_FILES.get(params.architecture), remedy) as file:
        tensors = sam.read_sam_tensors(file.path, params.architecture)
        sam.with_tensors(tensors, params.architecture, file.path)
        sam.write_sam(tensors, stored)
        return _card("sam", params, file, SAM_LICENCE, stored)


def _store_fastsam(params: FastSamWeightsParams, stored: Path) -> MaskWeightsCard:
    from pipeline.models import device  # noqa: PLC0415 - torch, only where a network was chosen
    from pipeline.segmentation import fastsam  # noqa: PLC0415

    device.set_deterministic(threads=1, seed=0)
    if params.weights == RANDOM:
        fastsam.write_random(params.architecture, stored)
        return _card("fastsam", params, None, None, stored)
    with _located(params, FASTSAM_FILES.get(params.architecture), fastsam.download_hint()) as file:
        fastsam.load_fastsam(file.path)
        shutil.copyfile(file.path, stored)
        return _card("fastsam", params, file, FASTSAM_LICENCE, stored)


def _card(
    source: SourceName,
    params: SamWeightsParams | FastSamWeightsParams,
    file: _VerifiedFile | None,
    licence: str | None,
    stored: Path,
) -> MaskWeightsCard:
    official = file is not None and file.origin == OFFICIAL
    return MaskWeightsCard(
        source=source,
        architecture=params.architecture,
        origin=file.origin if file else "random",
        file=file.path.name if file else None,
        sha256=file.sha256 if file else None,
        licence=licence if official else None,
        stored=stored.name,
    )


@contextmanager
def _located(
    params: SamWeightsParams | FastSamWeightsParams, official: OfficialFile | None, remedy: str
) -> Iterator[_VerifiedFile]:
    """Bring the file of weights to this machine for the time of the block."""
    if params.weights != OFFICIAL:
        path = Path(params.weights).expanduser()
        sha256 = verify_weights_file(path, official, params.sha256, remedy=remedy)
        yield _VerifiedFile(path, sha256, "official" if official and sha256 == official.sha256 else "file")
        return
    if official is None:
        raise WeightsError(remedy)
    with resumable_dir("mask_weights", official.url) as folder:
        path = folder / official.name
        if not path.is_file():
            _fetch_official(official, folder, remedy).replace(path)
        try:
            yield _VerifiedFile(path, verify_weights_file(path, official, params.sha256, remedy=remedy), "official")
        except WeightsError:
            path.unlink(missing_ok=True)  # a wrong file must not be taken up by the next try
            raise


def _fetch_official(official: OfficialFile, folder: Path, remedy: str) -> Path:
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
            return fetch(official.url, folder, policy=policy, report=report)
    except SourceError as error:
        raise WeightsError(str(error) if remedy in str(error) else f"{error}; or {remedy}") from error
