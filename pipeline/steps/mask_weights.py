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
ATTEMPTS, PATIENCE = 8, 30.0
"""How long to insist on a transfer: tries without a new byte, seconds without one."""


class _Checked(NamedTuple):
    """A file whose hash has been compared."""

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
        write_card(_stored(source, settings, output), output)
    except ModuleNotFoundError as error:
        raise not_installed(source, error) from error


def _stored(source: SourceName, settings: Path, output: Path) -> MaskWeightsCard:
    match source:
        case "annotation":
            return MaskWeightsCard(
                source=source, architecture=None, origin="none", file=None, sha256=None, licence=None, stored=None
            )
        case "sam":
            return _store_sam(load_settings(SamWeightsParams, settings), output / SAM_STORED)
        case "fastsam":
            return _store_fastsam(load_settings(FastSamWeightsParams, settings), output / FASTSAM_STORED)


def _store_sam(params: SamWeightsParams, stored: Path) -> MaskWeightsCard:
    from pipeline.models import device as numerics  # noqa: PLC0415 - torch, only where a network was chosen
    from pipeline.segmentation import sam as sam_weights  # noqa: PLC0415

    numerics.set_deterministic(threads=1, seed=0)
    if params.weights == RANDOM:
        sam_weights.write_sam(sam_weights.random_tensors(params.architecture), stored)
        return _card("sam", params, None, None, stored)
    wanted = sam_weights.download_hint(params.architecture)
    with _located(params, SAM_FILES.get(params.architecture), wanted) as file:
        tensors = sam_weights.read_sam_tensors(file.path, params.architecture)
        sam_weights.with_tensors(tensors, params.architecture, file.path)
        sam_weights.write_sam(tensors, stored)
        return _card("sam", params, file, SAM_LICENCE, stored)


def _store_fastsam(params: FastSamWeightsParams, stored: Path) -> MaskWeightsCard:
    from pipeline.models import device as numerics  # noqa: PLC0415 - torch, only where a network was chosen
    from pipeline.segmentation import fastsam as fastsam_weights  # noqa: PLC0415

    numerics.set_deterministic(threads=1, seed=0)
    if params.weights == RANDOM:
        fastsam_weights.write_random(params.architecture, stored)
        return _card("fastsam", params, None, None, stored)
    with _located(params, FASTSAM_FILES.get(params.architecture), fastsam_weights.download_hint()) as file:
        fastsam_weights.load_fastsam(file.path)
        shutil.copyfile(file.path, stored)
        return _card("fastsam", params, file, FASTSAM_LICENCE, stored)


def _card(
    source: SourceName,
    params: SamWeightsParams | FastSamWeightsParams,
    file: _Checked | None,
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
    params: SamWeightsParams | FastSamWeightsParams, official: OfficialFile | None, wanted: str
) -> Iterator[_Checked]:
    """Lend the file of weights after its hash was compared; a fetched one is gone afterwards."""
    if params.weights != OFFICIAL:
        path = Path(params.weights).expanduser()
        sha256 = verify_weights_file(path, official, params.sha256, remedy=wanted)
        yield _Checked(path, sha256, "official" if official and sha256 == official.sha256 else "file")
        return
    if official is None:
        raise WeightsError(wanted)
    with resumable_dir("mask_weights", official.url) as folder:
        path = folder / official.name
        if not path.is_file():
            _fetched(official, folder, wanted).replace(path)
        try:
            yield _Checked(path, verify_weights_file(path, official, params.sha256, remedy=wanted), "official")
        except WeightsError:
            path.unlink(missing_ok=True)  # a wrong file must not be taken up by the next try
            raise


def _fetched(official: OfficialFile, folder: Path, wanted: str) -> Path:
    note(f"fetching {official.url}")
    policy = TransferPolicy(
        attempts=ATTEMPTS,
        timeout=PATIENCE,
        max_bytes=official.size,
        pinned=True,
        local_copy=wanted,
        bound="the official file",
    )
    try:
        with byte_progress(official.name) as report:
            return fetch(official.url, folder, policy=policy, report=report)
    except SourceError as error:
        raise WeightsError(str(error) if wanted in str(error) else f"{error}; or {wanted}") from error
