"""Find the region of interest of every sample; here from annotation, where there is none from the user's boxes."""

from functools import partial
from pathlib import Path

from pipeline.arrays import LabelMap
from pipeline.console import progress
from pipeline.datasets.masks import KIND, SCHEMA_VERSION, StoredMask, write_mask_file
from pipeline.datasets.plan import PlannedFile, by_photo, plan_files
from pipeline.datasets.samples import Sample, read_categories, read_samples
from pipeline.datasets.units import FILES, finish_files
from pipeline.errors import DatasetError
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.manifest import Manifest, settings_sha256, sha256_of, write_manifest
from pipeline.params.data import SegmentParams
from pipeline.segmentation.annotation import annotated_mask
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.prompted import prompted_mask
from pipeline.segmentation.source import load_prompts
from pipeline.space import space_watched
from pipeline.workspace import publish, unfinished


def write_masks(params: SegmentParams, *, raw: Path, samples: Path, masks: Path, workers: int) -> None:
    """Write `masks/<split>-<number>.parquet`, one row per sample, and `masks/manifest.json`.

    Args:
        params: Source and size of a file.
        raw: Folder of photos and label maps.
        samples: Sample table.
        masks: Folder to write.
        workers: Processes; no effect on the bytes.

    Raises:
        DatasetError: If a label map is damaged, or contradicts the sample table or its photo.
        SpaceError: If the disk has no room for the masks.
    """
    settings = settings_sha256(params)
    write = partial(_write_file, raw=raw, metadata={"schema_version": str(SCHEMA_VERSION), "settings_sha256": settings})
    needed = sum(sample.photo_height * sample.photo_width // 8 for sample in read_samples(samples))  # bits
    with unfinished("segment", settings, sha256_of(samples)) as folder, space_watched(folder, needed):
        planned = partial(plan_files, photos_per_file=params.photos_per_file)
        entries = finish_files(write, planned(read_samples(samples)), folder, workers=workers)
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


def _write_file(planned: PlannedFile, path: Path, *, raw: Path, metadata: dict[str, str]) -> None:
    masks = [mask for of_photo in by_photo(planned.samples) for mask in _masks_of_photo(of_photo, raw)]
    write_mask_file(masks, path, metadata)


def _masks_of_photo(samples: tuple[Sample, ...], raw: Path) -> list[StoredMask]:
    paths = {sample.label_map_path for sample in samples if sample.label_map_path is not None}
    label_maps = {path: _label_map(raw / path, samples[0]) for path in sorted(paths)}
    return [
        _from_prompts(sample, raw)
        if sample.label_map_path is None
        else _from_annotation(sample, label_maps[sample.label_map_path])
        for sample in samples
    ]


def _label_map(path: Path, sample: Sample) -> LabelMap:
    label_map = read_label_map(path)
    if label_map.shape != (sample.photo_height, sample.photo_width):
        height, width = label_map.shape
        raise DatasetError(
            f"{path}: {width} x {height} pixels, its photo {sample.photo_path} has {sample.photo_width} x "
            f"{sample.photo_height}; mend the pair and run `dvc repro`"
        )
    return label_map


def _from_annotation(sample: Sample, label_map: LabelMap) -> StoredMask:
    mask = annotated_mask(label_map, sample.mask_value, sample_id=sample.sample_id)
    status = "tiny" if "tiny" in sample.flags else "ok"
    return StoredMask.of(mask, sample_id=sample.sample_id, score=1.0, status=status, prompts=None)


def _from_prompts(sample: Sample, raw: Path) -> StoredMask:
    source, prompts = GrabCut(), load_prompts(sample.prompts or "[]", sample_id=sample.sample_id)
    answer = prompted_mask(source, read_photo(raw / sample.photo_path), prompts, sample_id=sample.sample_id)
    status = source.name if answer.status == "ok" else answer.status
    return StoredMask.of(
        answer.mask, sample_id=sample.sample_id, score=answer.score, status=status, prompts=sample.prompts
    )
