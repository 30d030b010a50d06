"""Cut every photo into an ROI view and an extra-ROI view for each of its samples."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.datasets.index import read_categories, read_samples
from pipeline.datasets.masks import MaskRows, Masks
from pipeline.datasets.photos import decode_photo_of
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import KIND, SCHEMA_VERSION, shard_metadata, write_shard
from pipeline.datasets.work_units import FILES, PlannedFile, finish_files, group_by_photo, plan_files
from pipeline.imaging.letterbox import cut_views
from pipeline.params.stages import PairParams
from pipeline.runtime.console import progress
from pipeline.runtime.manifest import MANIFEST, Manifest, settings_sha256, sha256_of, write_manifest
from pipeline.runtime.ray_pool import RayCluster
from pipeline.runtime.resources import catch_disk_full, keep_freed_memory
from pipeline.runtime.resumable import publish, resumable_dir
from pipeline.runtime.stores import Place, in_mirror


@dataclass(frozen=True, slots=True)
class PlannedShard(PlannedFile):
    """A planned shard and the location of its masks, whose files may hold other numbers of photos."""

    masks: MaskRows


def write_shards(  # noqa: PLR0913 - every path the stage touches
    params: PairParams,
    *,
    source: str,
    raw: Path,
    samples: Path,
    masks: Path,
    shards: Path,
    workers: int,
    cluster: RayCluster | None = None,
    mirror: str | None = None,
) -> None:
    """Write `shards/<split>-<number>.parquet`, one row per sample, and `shards/manifest.json`.

    The bytes do not depend on `workers`, `cluster` (used instead of processes) and `mirror` (where photos and masks
    are read).

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If the masks are absent, damaged, or of other samples.
        SpaceError: If the disk has no room for the shards.
    """
    categories = tuple(category.name for category in read_categories(samples))
    metadata = shard_metadata(params, source=source, categories=categories)
    stored, inputs = Masks(masks), (in_mirror(raw, mirror), in_mirror(masks, mirror))
    write = partial(_write_file, params=params, inputs=inputs, metadata=metadata)
    identity = (json.dumps(metadata), sha256_of(samples), sha256_of(masks / MANIFEST))
    row_bytes = 2 * 3 * params.image_size**2 + (params.image_size**2 + 7) // 8  # most compress to half
    rows = sum(entry.rows for entry in stored.manifest.files)
    with resumable_dir("pair", *identity) as folder, catch_disk_full(folder, rows * row_bytes):
        shards_to_write = (
            PlannedShard(f.name, f.split, f.first_row, f.samples, stored.locate(f.split, f.first_row, len(f.samples)))
            for f in plan_files(read_samples(samples), photos_per_file=params.photos_per_file)
        )
        entries = finish_files(write, shards_to_write, folder, workers=workers, cluster=cluster)
        manifest = Manifest(
            kind=KIND,
            schema_version=SCHEMA_VERSION,
            source=source,
            image_size=params.image_size,
            categories=categories,
            settings_sha256=settings_sha256(params),
            files=tuple(progress(entries, total=rows, what="pair", unit="sample", count=lambda entry: entry.rows)),
        )
        write_manifest(manifest, folder / FILES)
        publish(folder / FILES, shards)


def _write_file(
    planned: PlannedShard, path: Path, *, params: PairParams, inputs: tuple[Place, Place], metadata: dict[str, str]
) -> None:
    raw, masks = inputs
    keep_freed_memory()  # the next shard's arrays have the same size
    batch = SampleBatch.empty(tuple(sample.sample_id for sample in planned.samples), size=params.image_size)
    stored = planned.masks.read(masks, batch.sample_ids)
    row = 0
    for of_photo in group_by_photo(planned.samples):
        photo = decode_photo_of(of_photo[0], raw)
        batch.targets[row : row + len(of_photo)] = [sample.target for sample in of_photo]
        full = (mask.full() for mask in stored[row : row + len(of_photo)])
        for views in cut_views(
            photo, full, size=params.image_size, fill=params.fill, pad=params.pad, geometry=params.geometry
        ):
            batch.rects[row], batch.masks[row], batch.roi[row], batch.extra_roi[row] = views
            row += 1
    write_shard(batch, path, metadata)
