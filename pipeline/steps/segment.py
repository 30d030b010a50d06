"""Find the region of interest of every sample, by the mask source that was chosen."""

from functools import partial
from pathlib import Path

from pipeline.arrays import LabelMap
from pipeline.cluster import RayCluster, cluster_of
from pipeline.console import progress
from pipeline.datasets.label_maps import read_label_maps
from pipeline.datasets.masks import KIND, SCHEMA_VERSION, StoredMask, write_mask_file
from pipeline.datasets.photos import read_photo_of
from pipeline.datasets.plan import PlannedFile, by_photo, plan_files
from pipeline.datasets.samples import Sample, read_categories, read_samples
from pipeline.datasets.units import FILES, finish_files
from pipeline.manifest import Manifest, settings_sha256, sha256_of, write_manifest
from pipeline.params.base import load_settings
from pipeline.params.data import SegmentParams
from pipeline.params.masks import FastSamSegmentParams, SamSegmentParams, SourceName
from pipeline.params.runtime import RuntimeParams
from pipeline.segmentation.annotation import annotated_mask
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.prompted import prompted_mask, stand_in
from pipeline.segmentation.source import load_prompts
from pipeline.space import space_watched
from pipeline.stores import Place, mirrored
from pipeline.workspace import publish, unfinished

SCHEMAS: dict[SourceName, type[SamSegmentParams | FastSamSegmentParams]] = {
    "sam": SamSegmentParams,
    "fastsam": FastSamSegmentParams,
}
"""Settings of the sources that answer prompts."""


def segment(  # noqa: PLR0913 - every path the stage touches
    source: SourceName, *, settings: Path, raw: Path, samples: Path, weights: Path, masks: Path, runtime: RuntimeParams
) -> None:
    """Write the masks of one source; see `write_masks` and `write_prompted_masks`.

    Args:
        source: Mask source.
        settings: File of its settings.
        raw: Folder of photos and label maps.
        samples: Sample table.
        weights: Output of stage `mask_weights` for this source.
        masks: Folder to write.
        runtime: Who works and on which device; no effect on the bytes, as long as the device is a CPU.

    Raises:
        PipelineError: As those two.
    """
    workers, cluster, mirror = runtime.worker_count(), cluster_of(runtime), runtime.mirror
    if source == "annotation":
        params = load_settings(SegmentParams, settings)
        write_masks(params, raw=raw, samples=samples, masks=masks, workers=workers, cluster=cluster, mirror=mirror)
        return
    # Torch, and a package that those who use annotation may leave out.
    from pipeline.steps.segment_prompted import write_prompted_masks  # noqa: PLC0415

    schema: type[SamSegmentParams | FastSamSegmentParams] = SCHEMAS[source]
    prompted = load_settings(schema, settings)
    places = {"raw": raw, "samples": samples, "weights": weights, "masks": masks}
    write_prompted_masks(prompted, **places, device=runtime.device, cluster=cluster, mirror=mirror)


def write_masks(  # noqa: PLR0913 - every path the stage touches, and who works
    params: SegmentParams,
    *,
    raw: Path,
    samples: Path,
    masks: Path,
    workers: int,
    cluster: RayCluster | None = None,
    mirror: str | None = None,
) -> None:
    """Write the annotated masks: `masks/<split>-<number>.parquet`, one row per sample, and `masks/manifest.json`.

    Where a photo has boxes instead of an annotation, GrabCut answers them. Clicks it cannot answer: they are refused,
    or stand in themselves where the masks are a reference only, which leaves such samples out.

    Args:
        params: Source and size of a file.
        raw: Folder of photos and label maps.
        samples: Sample table.
        masks: Folder to write.
        workers: Processes; no effect on the bytes.
        cluster: Works instead of them; no effect on the bytes.
        mirror: URL below which photos and label maps are read; no effect on the bytes.

    Raises:
        DatasetError: If a label map or photo is absent or another one than stage `index` read.
        SpaceError: If the disk has no room for the masks.
    """
    settings = settings_sha256(params)
    metadata = {"schema_version": str(SCHEMA_VERSION), "settings_sha256": settings}
    write = partial(_write_file, params=params, raw=mirrored(raw, mirror), metadata=metadata)
    needed = sum(sample.photo_height * sample.photo_width // 8 for sample in read_samples(samples))  # bits
    with unfinished("segment", settings, sha256_of(samples)) as folder, space_watched(folder, needed):
        planned = partial(plan_files, photos_per_file=params.photos_per_file)
        entries = finish_files(write, planned(read_samples(samples)), folder, workers=workers, cluster=cluster)
        total = sum(1 for _ in planned(read_samples(samples)))
        manifest = Manifest(
            kind=KIND,
            schema_version=SCHEMA_VERSION,
            source=params.source,
            image_size=0,
            categories=tuple(category.name for category in read_categories(samples)),
            settings_sha256=settings,
            files=tuple(progress(entries, total=total, what="segment", unit="files")),
        )
        write_manifest(manifest, folder / FILES)
        publish(folder / FILES, masks)


def _write_file(
    planned: PlannedFile, path: Path, *, params: SegmentParams, raw: Place, metadata: dict[str, str]
) -> None:
    masks = [mask for of_photo in by_photo(planned.samples) for mask in _masks_of_photo(of_photo, params, raw)]
    write_mask_file(masks, path, metadata)


def _masks_of_photo(samples: tuple[Sample, ...], params: SegmentParams, raw: Place) -> list[StoredMask]:
    label_maps = read_label_maps(samples, raw)
    return [
        _from_prompts(sample, params, raw)
        if sample.label_map_path is None
        else _from_annotation(sample, label_maps[sample.label_map_path])
        for sample in samples
    ]


def _from_annotation(sample: Sample, label_map: LabelMap) -> StoredMask:
    mask = annotated_mask(label_map, sample.mask_value, sample_id=sample.sample_id)
    status = "tiny" if "tiny" in sample.flags else "ok"
    return StoredMask.of(mask, sample_id=sample.sample_id, score=1.0, status=status, prompts=None)


def _from_prompts(sample: Sample, params: SegmentParams, raw: Place) -> StoredMask:
    source, prompts = GrabCut(), load_prompts(sample.prompts or "[]", sample_id=sample.sample_id)
    photo = read_photo_of(sample, raw)
    if params.reference_only and any(prompt.kind == "point" for prompt in prompts):
        answer = stand_in(photo, prompts, sample_id=sample.sample_id)
    else:
        answer = prompted_mask(source, photo, prompts, sample_id=sample.sample_id)
    status = source.name if answer.status == "ok" else answer.status
    return StoredMask.of(
        answer.mask, sample_id=sample.sample_id, score=answer.score, status=status, prompts=sample.prompts
    )
