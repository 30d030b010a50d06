"""Cut every photo into an ROI view and an extra-ROI view for each of its samples."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image as Pillow

from pipeline.arrays import Mask
from pipeline.datasets.index import read_categories, read_samples
from pipeline.datasets.masks import MaskRows, Masks
from pipeline.datasets.photos import picture_of
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import KIND, SCHEMA_VERSION, shard_metadata, write_shard
from pipeline.datasets.work_units import FILES, PlannedFile, by_photo, finish_files, plan_files
from pipeline.imaging.letterbox import Views, views_of
from pipeline.params.stages import PairParams
from pipeline.runtime.console import progress
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.manifest import MANIFEST, Manifest, settings_sha256, sha256_of, write_manifest
from pipeline.runtime.ray_pool import RayCluster
from pipeline.runtime.resources import catch_disk_full, keep_freed_memory
from pipeline.runtime.resumable import publish, resumable_dir
from pipeline.runtime.stores import Place, in_mirror


@dataclass(frozen=True, slots=True)
class PlannedShard(PlannedFile):
    """A planned file and where its masks lie; masks may be cut into other files than shards."""

    masks: MaskRows


class _CheckedFiles(NamedTuple):
    """What a worker reads, in the checkout or in its mirror."""

    raw: Place
    masks: Place


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

    Args:
        params: Geometry of the views and size of a shard.
        source: Name of the mask source.
        raw: Folder of photos.
        samples: Sample table.
        masks: Folder of masks, row-aligned with the table.
        shards: Folder to write.
        workers: Processes; no effect on the bytes.
        cluster: Works instead of them; no effect on the bytes.
        mirror: URL below which photos and masks are read; no effect on the bytes.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read, or the masks are of other samples.
        ManifestError: If the masks are absent or damaged.
        SpaceError: If the disk has no room for the shards.
    """
    categories = tuple(category.name for category in read_categories(samples))
    metadata = shard_metadata(params, source=source, categories=categories)
    stored, seen = Masks(masks), _CheckedFiles(in_mirror(raw, mirror), in_mirror(masks, mirror))
    write = partial(_write_file, params=params, seen=seen, metadata=metadata)
    identity = (json.dumps(metadata), sha256_of(samples), sha256_of(masks / MANIFEST))
    needed = sum(entry.rows for entry in stored.manifest.files) * _bytes_of_row(params.image_size)
    with resumable_dir("pair", *identity) as folder, catch_disk_full(folder, needed):
        total = sum(1 for _ in plan_files(read_samples(samples), photos_per_file=params.photos_per_file))
        entries = finish_files(write, _planned(params, samples, stored), folder, workers=workers, cluster=cluster)
        manifest = Manifest(
            kind=KIND,
            schema_version=SCHEMA_VERSION,
            source=source,
            image_size=params.image_size,
            categories=categories,
            settings_sha256=settings_sha256(params),
            files=tuple(progress(entries, total=total, what="pair", unit="files")),
        )
        write_manifest(manifest, folder / FILES)
        publish(folder / FILES, shards)


def _bytes_of_row(image_size: int) -> int:
    """Return the size of one sample before compression, which most photos bring down by half."""
    return 2 * 3 * image_size**2 + (image_size**2 + 7) // 8


def _planned(params: PairParams, samples: Path, stored: Masks) -> Iterator[PlannedShard]:
    for file in plan_files(read_samples(samples), photos_per_file=params.photos_per_file):
        rows = stored.locate(file.split, file.first_row, len(file.samples))
        yield PlannedShard(file.name, file.split, file.first_row, file.samples, rows)


def _write_file(
    planned: PlannedShard, path: Path, *, params: PairParams, seen: _CheckedFiles, metadata: dict[str, str]
) -> None:
    keep_freed_memory()  # a shard's arrays are as large as those of the next
    batch = SampleBatch.empty(tuple(sample.sample_id for sample in planned.samples), size=params.image_size)
    stored = planned.masks.read(seen.masks)
    if tuple(mask.sample_id for mask in stored) != batch.sample_ids:
        raise DatasetError(
            f"{seen.masks}: holds other samples than the table for {path.stem}; run `dvc repro -f segment`"
        )
    row = 0
    for of_photo in by_photo(planned.samples):
        photo = picture_of(of_photo[0], seen.raw)
        batch.targets[row : row + len(of_photo)] = [sample.target for sample in of_photo]
        masks_of_photo = (mask.full() for mask in stored[row : row + len(of_photo)])
        for views in _views(photo, masks_of_photo, params):
            batch.rects[row], batch.masks[row], batch.roi[row], batch.extra_roi[row] = views
            row += 1
    write_shard(batch, path, metadata)


def _views(photo: Pillow.Image, masks: Iterable[Mask], params: PairParams) -> Iterator[Views]:
    return views_of(photo, masks, size=params.image_size, fill=params.fill, pad=params.pad, geometry=params.geometry)
