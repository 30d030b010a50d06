"""Small shards and an untrained run for them, for tests of evaluation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.datasets.sample_batch import InputName, SampleBatch
from pipeline.datasets.shards import KIND, SCHEMA_VERSION, Preprocessing, shard_metadata, write_shard
from pipeline.imaging.letterbox import letterbox_rect
from pipeline.models.artifact import Calibration, FinalMetrics, RunCard, RunEnvironment, build_run, save_run
from pipeline.models.card import BackboneCard
from pipeline.params.model import TrainParams
from pipeline.params.stages import PairParams
from pipeline.runtime.manifest import FileEntry, Manifest, settings_sha256, sha256_of, write_manifest

SIDE = 32
PAD = 125
CATEGORIES = ("bread", "sauce", "ketchup", "chili paste")
SHAPES = ((40, 30), (30, 40), (21, 40), (32, 32), (90, 13), (33, 47))
ONE_THREAD = 1

TRAIN = TrainParams(
    epochs=3,
    batch_size=4,
    accumulate=1,
    optimizer="adam",
    learning_rate=1e-3,
    layer_decay=1.0,
    weight_decay=0.0,
    schedule="constant",
    warmup_epochs=0,
    clip_norm=0.0,
    label_smoothing=0.0,
    balance="none",
    balance_beta=0.999,
    freeze="none",
    ema_decay=0.0,
    flip=0.5,
    joint_flip=True,
    normalize="backbone",
    features="pooled",
    hidden=16,
    precision="auto",
    compile=False,
    threads=ONE_THREAD,
    seed=0,
)


def random_batch(rows: int, *, seed: int = 0, side: int = SIDE) -> SampleBatch:
    """Return samples of photos of all shapes, two a photo, with random pixels and random blobs as masks."""
    generator = np.random.default_rng(seed)
    rects = np.array([letterbox_rect(*SHAPES[i // 2 % len(SHAPES)], size=side) for i in range(rows)], np.int64)
    masks = np.zeros((rows, side, side), bool)
    photos = np.full((rows, side, side, 3), PAD, np.uint8)
    for mask, photo, (top, left, height, width) in zip(masks, photos, rects.tolist(), strict=True):
        photo[top : top + height, left : left + width] = generator.integers(1, 256, (height, width, 3))
        mask[top : top + (height + 1) // 2, left : left + (2 * width + 2) // 3] = True
    return SampleBatch(
        sample_ids=tuple(f"test/{i // 2:08d}/{i % 2 + 1}" for i in range(rows)),
        targets=generator.integers(len(CATEGORIES), size=rows),
        rects=rects,
        masks=masks,
        roi=np.where(masks[..., np.newaxis], photos, empty_canvases(rects, side)),
        extra_roi=np.where(masks[..., np.newaxis], np.uint8(0), photos),
    )


def empty_canvases(rects: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return canvases that are black inside the rectangles and gray outside."""
    canvases = np.full((len(rects), side, side, 3), PAD, np.uint8)
    for canvas, (top, left, height, width) in zip(canvases, rects.tolist(), strict=True):
        canvas[top : top + height, left : left + width] = 0
    return canvases


def select(batch: SampleBatch, rows: Sequence[int]) -> SampleBatch:
    """Return some samples of a batch, in the order asked for."""
    picked = list(rows)
    return SampleBatch(
        sample_ids=tuple(batch.sample_ids[i] for i in picked),
        **{name: getattr(batch, name)[picked] for name in ("targets", "rects", "masks", "roi", "extra_roi")},
        fill=batch.fill,
    )


def write_small_shards(
    folder: Path, parts: Sequence[SampleBatch], *, categories: Sequence[str] = CATEGORIES, side: int = SIDE
) -> Path:
    """Write one test shard a part, and their manifest."""
    params = PairParams(image_size=side, fill=0, pad=PAD, photos_per_file=4)
    metadata = shard_metadata(params, source="annotation", categories=tuple(categories))
    folder.mkdir(parents=True)
    entries = []
    for number, part in enumerate(parts):
        name = f"test-{number:05d}.parquet"
        write_shard(part, folder / name, metadata)
        entries.append(FileEntry(name=name, split="test", rows=len(part), sha256=sha256_of(folder / name)))
    manifest = Manifest(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        source="annotation",
        image_size=side,
        categories=tuple(categories),
        settings_sha256=settings_sha256(params),
        files=tuple(entries),
    )
    write_manifest(manifest, folder)
    return folder


def backbone_card(name: str) -> BackboneCard:
    """Return the card of a tiny ViT without weights."""
    return BackboneCard(
        name=name,
        timm="test_vit",
        options={"patch_size": 8, "embed_dim": 16, "num_heads": 2, "depth": 1},
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        input_size=160,
        source="none",
        file=None,
        revision=None,
        sha256=None,
        licence=None,
    )


def run_card(
    branches: Sequence[InputName],
    *,
    class_names: tuple[str, ...] = CATEGORIES,
    shared: bool = False,
    fusion: str = "mask_pool",
) -> RunCard:
    """Return the card of a run with those branches, which may share their weights; `photo` is that of a fusion."""
    names = {branch: "tiny" if branch in branches else "none" for branch in ("roi", "extra_roi")}
    if "photo" in branches:
        names = {"roi": "tiny", "extra_roi": fusion}
    return RunCard(
        run=f"{names['roi']}+{names['extra_roi']}-all",
        roi=names["roi"],
        extra_roi=names["extra_roi"],
        classes="all",
        class_names=class_names,
        ambiguous=tuple(name for name in ("ketchup", "chili paste") if name in class_names),
        image_size=SIDE,
        preprocessing=Preprocessing(fill=0, pad=PAD, geometry="exact"),
        backbones={branch: backbone_card("tiny") for branch in branches},
        train=TRAIN.model_copy(update={"share_branches": shared}),
        made_with=RunEnvironment(device="cpu", precision="fp32", versions={"torch": "2.15.0"}),
        shards_sha256="0" * 64,
        epochs_done=3,
        metrics=FinalMetrics(measured_on="validation split", loss=1.0, top1=0.5, macro_f1=0.25),
        calibration=Calibration(temperature=1.5, fitted_on="validation split"),
        weights_sha256="",
    )


def write_small_run(
    folder: Path,
    branches: Sequence[InputName],
    *,
    class_names: tuple[str, ...] = CATEGORIES,
    shared: bool = False,
    fusion: str = "mask_pool",
) -> Path:
    """Write an untrained run whose outputs vary between samples."""
    torch.manual_seed(0)
    card = run_card(branches, class_names=class_names, shared=shared, fusion=fusion)
    model = build_run(card, {})
    last = model.head[-1] if isinstance(model.head, nn.Sequential) else model.head
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        last.weight.mul_(3)
    folder.mkdir(parents=True)
    save_run(model, card, folder)
    return folder
