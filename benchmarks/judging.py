"""SAM's encoder and the perturbations on a GPU, beside what one would do without thought for speed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from segment_anything import sam_model_registry

from benchmarks.plain import write_pngs
from benchmarks.row import Row
from benchmarks.site import Site
from benchmarks.training import pairing, seconds
from pipeline.arrays import Images
from pipeline.datasets.sample_batch import VIEW_NAMES, SampleBatch
from pipeline.datasets.shards import Shards
from pipeline.evaluation.perturbation import PerturbationSpec, perturb_canvases, plan_perturbations
from pipeline.models.rvernet import RveRNet
from pipeline.params.masks import SamArchitectureName
from pipeline.segmentation.sam import ARCHITECTURES, build_sam
from pipeline.steps.perturb import predict_perturbed

ENCODERS: tuple[SamArchitectureName, ...] = ("vit_b", "vit_h")
TOGETHER = 8
BACKBONE = "vit_base_patch16_224"


def measure(site: Site) -> Iterator[Row]:
    """Yield the rows; without a GPU they say so, and nothing is estimated."""
    missing = "" if site.device == "cuda" else "no GPU"
    for name in ENCODERS:
        what, against = f"SAM {name} encoder", "times the photos/s of fp32 as shipped"
        ratios = () if missing else encoder_ratios(name, site.rounds, torch.device("cuda"))
        yield Row(what, against, 5, ratios=ratios, missing=missing)
    what, against = f"evaluation of {BACKBONE} twice with all perturbations", "times separate passes over decoded files"
    yield Row(what, against, 5, ratios=() if missing else perturbation_ratios(site, BACKBONE), missing=missing)


def encoder_ratios(name: SamArchitectureName, rounds: int, device: torch.device) -> tuple[float, ...]:
    """Return photos/s of our encoder in batches and bf16, by those of the package's in fp32 one by one."""
    size = ARCHITECTURES[name].image_size
    photos = torch.randn(TOGETHER, 3, size, size, device=device)
    plain, ours = sam_model_registry[name]().image_encoder.eval().to(device), build_sam(ARCHITECTURES[name]).to(device)

    def one_by_one() -> None:
        for photo in photos:
            plain(photo[None])

    def together() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            ours.image_encoder(photos)

    with torch.inference_mode():
        one_by_one()
        together()
        return tuple(seconds(one_by_one, device) / seconds(together, device) for _ in range(rounds))


def perturbation_ratios(site: Site, timm_id: str) -> tuple[float, ...]:
    """Return how many times our time a plain evaluation takes: decode, perturb, predict, once an entry."""
    study, device = site.material.study, torch.device(site.device)
    shards, folder = Shards(site.material.shards), site.scratch / "judged"
    model = pairing(timm_id, study.train, size=shards.image_size, classes=len(shards.categories)).eval().to(device)
    entries = plan_perturbations(study.perturb, shards.image_size, VIEW_NAMES)
    write_pngs(shards, folder)

    def ours() -> None:
        for batch in shards.batches("test"):
            predict_perturbed(model, batch, entries, pad=study.pair.pad, device=device)

    def plain() -> None:
        for entry in (None, *entries):
            for batch in shards.batches("test"):
                _judge(model, batch, entry, folder, device)

    ours()
    return tuple(seconds(plain, device) / seconds(ours, device) for _ in range(site.rounds))


@torch.inference_mode()
def _judge(
    model: RveRNet, batch: SampleBatch, entry: PerturbationSpec | None, folder: Path, device: torch.device
) -> None:
    views = {name: _decode(folder / name, batch.sample_ids) for name in VIEW_NAMES}
    for name in VIEW_NAMES:
        if entry is not None and (change := entry.of(name)) is not None:
            views[name] = perturb_canvases(change, views[name], batch, branch=name, background=125)
    pixels = (torch.from_numpy(view.transpose(0, 3, 1, 2).copy()).to(device) for view in views.values())
    model(*pixels).cpu()


def _decode(folder: Path, sample_ids: tuple[str, ...]) -> Images:
    return np.stack([np.asarray(Pillow.open(folder / f"{name}.png")) for name in sample_ids])
