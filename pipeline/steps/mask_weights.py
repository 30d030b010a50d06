"""Bring the weights of a mask source to one hashed, shareable file; later stages touch no network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.acquisition.model_folder import find_model
from pipeline.acquisition.transfer import TransferPolicy, fetch
from pipeline.params import masks
from pipeline.params.base import load_settings
from pipeline.runtime.console import byte_progress, note
from pipeline.runtime.errors import SourceError, WeightsError
from pipeline.runtime.resources import catch_disk_full
from pipeline.runtime.resumable import resumable_dir
from pipeline.segmentation import weights
from pipeline.segmentation.registry import not_installed

NO_FILE: dict[str, Any] = dict.fromkeys(("file", "sha256", "licence"))


def fetch_mask_weights(source: masks.SourceName, *, settings: Path, output: Path) -> None:
    """Write `output/mask_weights.json` and, unless the source has none, the weights beside it.

    Raises:
        ParamsError: If the settings do not fit, or the source needs a package that is not installed.
        WeightsError: If the weights cannot be had, are other ones than pinned, or do not fit.
    """
    output.mkdir(parents=True, exist_ok=True)
    try:
        match source:
            case "annotation" | "grabcut":
                facts: dict[str, Any] = NO_FILE | {"origin": "none", "architecture": None, "stored": None}
            case "sam":
                facts = _store_sam(load_settings(masks.SamWeightsParams, settings), output)
            case "fastsam":
                facts = _store_fastsam(load_settings(masks.FastSamWeightsParams, settings), output)
            case _:
                facts = _store_promptable(source, load_settings(masks.PromptableWeightsParams, settings), output)
    except ModuleNotFoundError as error:
        raise not_installed(source, error) from error
    weights.MaskWeightsCard(source=source, **facts).write(output / weights.CARD)


# What follows returns the card's fields; torch and a network's package are imported only where it was chosen.


def _store_sam(params: masks.SamWeightsParams, output: Path) -> dict[str, Any]:
    from pipeline.models import device  # noqa: PLC0415
    from pipeline.models.state_dicts import write_tensors  # noqa: PLC0415
    from pipeline.segmentation import sam  # noqa: PLC0415

    device.set_deterministic(threads=1, seed=0)
    architecture, stored = params.architecture, "model.safetensors"
    if params.weights == masks.RANDOM:
        facts = NO_FILE | {"origin": "random"}
        write_tensors(sam.random_tensors(architecture), output / stored)
    else:
        official, hint = weights.SAM_FILES.get(architecture), sam.download_hint(architecture)
        with _located(params, official, hint, licence=weights.SAM_LICENCE) as (path, facts):
            write_tensors(dict(sam.load_sam(path, architecture).state_dict()), output / stored)
    return facts | {"architecture": architecture, "stored": stored}


def _store_fastsam(params: masks.FastSamWeightsParams, output: Path) -> dict[str, Any]:
    from pipeline.models import device  # noqa: PLC0415
    from pipeline.segmentation import fastsam  # noqa: PLC0415

    device.set_deterministic(threads=1, seed=0)
    architecture, stored = params.architecture, "model.pt"
    if params.weights == masks.RANDOM:
        facts = NO_FILE | {"origin": "random"}
        fastsam.write_random(architecture, output / stored)
    else:
        official, hint = weights.FASTSAM_FILES.get(architecture), fastsam.download_hint()
        with _located(params, official, hint, licence=weights.FASTSAM_LICENCE) as (path, facts):
            fastsam.load_fastsam(path)
            shutil.copyfile(path, output / stored)
    return facts | {"architecture": architecture, "stored": stored}


def _store_promptable(source: masks.SourceName, params: masks.PromptableWeightsParams, output: Path) -> dict[str, Any]:
    from pipeline.segmentation import promptable  # noqa: PLC0415

    found = find_model(f"masks.transformers.{source}", params.model, params.revision)
    with catch_disk_full(output, sum(path.stat().st_size for path in found.files.values())):
        for name, path in found.files.items():
            shutil.copyfile(path, output / name)
    model, _ = promptable.load_promptable(output)
    licences = (known for start, known in weights.HUB_LICENCES.items() if params.model.startswith(start))
    return {
        "architecture": model.config.model_type,
        "origin": "folder" if found.local else "hub",
        "file": found.name,
        "sha256": found.sha256(),
        "licence": None if found.local else next(licences, None),
        "stored": found.tensors[0],
    }


@contextmanager
def _located(
    params: masks.MaskWeightsParams, official: weights.OfficialFile | None, remedy: str, *, licence: str
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Bring the file of weights to this machine for the time of the block, and check its SHA-256."""
    if params.weights != masks.OFFICIAL:
        path = Path(params.weights).expanduser()
        sha256 = weights.verify_weights_file(path, official, params.sha256, remedy=remedy)
        known = official is not None and sha256 == official.sha256
        origin = {"origin": "official", "licence": licence} if known else {"origin": "file", "licence": None}
        yield path, origin | {"file": path.name, "sha256": sha256}
        return
    if official is None:
        raise WeightsError(remedy)
    with resumable_dir("mask_weights", official.url) as folder:
        path = folder / official.name
        if not path.is_file():
            note(f"fetching {official.url}")
            policy = TransferPolicy(official.size, pinned=True, local_copy=remedy, bound="the official file")
            try:
                with byte_progress(official.name) as report:
                    fetch(official.url, folder, policy=policy, report=report).replace(path)
            except SourceError as error:
                raise WeightsError(str(error) if remedy in str(error) else f"{error}; or {remedy}") from error
        try:
            sha256 = weights.verify_weights_file(path, official, params.sha256, remedy=remedy)
            yield path, {"origin": "official", "licence": licence, "file": path.name, "sha256": sha256}
        except WeightsError:
            path.unlink(missing_ok=True)  # a wrong file must not be taken up by the next try
            raise
