"""Small train and test shards with backbones for them, for tests of training."""

from pathlib import Path

import torch

from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import KIND, SCHEMA_VERSION, shard_metadata, write_shard
from pipeline.models.card import CARD, BackboneCard
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import PairParams
from pipeline.runtime.manifest import FileEntry, Manifest, settings_sha256, sha256_of, write_manifest
from pipeline.steps.train import train
from pipeline.training.dataset import Split
from tests.small_run import CATEGORIES, PAD, SIDE, backbone_card, random_batch

PAIR = PairParams(image_size=SIDE, fill=0, pad=PAD, photos_per_file=4)


def write_shards_of(folder: Path, splits: dict[str, list[SampleBatch]], *, fill: int = 0) -> Path:
    """Write one shard a batch, and the manifest."""
    folder.mkdir(parents=True)
    pair = PAIR.model_copy(update={"fill": fill})
    metadata = shard_metadata(pair, source="annotation", categories=CATEGORIES)
    entries = []
    for split, batches in splits.items():
        for number, batch in enumerate(batches):
            path = folder / f"{split}-{number:05d}.parquet"
            write_shard(batch, path, metadata)
            entries.append(FileEntry(name=path.name, split=split, rows=len(batch), sha256=sha256_of(path)))
    manifest = Manifest(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        source="annotation",
        image_size=SIDE,
        categories=CATEGORIES,
        settings_sha256=settings_sha256(pair),
        files=tuple(entries),
    )
    write_manifest(manifest, folder)
    return folder


def split_of(samples: int) -> Split:
    """Return random samples in memory."""
    batch = random_batch(samples)
    return Split(batch.sample_ids, *map(torch.from_numpy, (batch.targets, batch.roi, batch.extra_roi)))


def write_cards(weights: Path) -> Path:
    """Write the cards of `tiny`, `dropping` (with dropout) and the absent branch."""
    tiny = backbone_card("tiny")
    dropping = tiny.model_copy(update={"name": "dropping", "options": tiny.options | {"proj_drop_rate": 0.5}})
    absent = BackboneCard.model_validate(tiny.model_dump() | {"name": "none", "timm": None, "input_size": 0})
    for card in (tiny, dropping, absent):
        (weights / card.name).mkdir(parents=True)
        card.write(weights / card.name / CARD)
    return weights


def write_workplace(folder: Path) -> None:
    """Write shards of 13 train, 7 validation and 11 test samples, and cards of backbones."""
    splits = {"train": [random_batch(13)], "validation": [random_batch(7, seed=2)], "test": [random_batch(11, seed=1)]}
    write_shards_of(folder / "shards", splits)
    write_cards(folder / "weights")


def train_as_told(folder: Path, output: str, params: TrainParams, *, roi: str, runtime: RuntimeParams) -> None:
    """Train a run of two branches, of which `tiny` sees the extra-ROI, on a folder's `shards` and `weights`."""
    train(
        params,
        run=RunName(roi, "tiny", "all"),
        class_set=ClassSetParams(exclude=(), ambiguous=("ketchup", "chili paste")),
        shards=folder / "shards",
        weights=folder / "weights",
        output=folder / output,
        runtime=runtime,
    )
