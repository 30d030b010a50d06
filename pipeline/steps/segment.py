"""Find the region of interest of every sample, by the mask source that was chosen."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

from tqdm import tqdm  # noqa: TC002 - the types are checked while tests run

from pipeline.arrays import LabelMap
from pipeline.datasets.index import Sample, read_categories, read_samples
from pipeline.datasets.masks import KIND, SCHEMA_VERSION, StoredMask, read_mask_file, write_mask_file
from pipeline.datasets.photos import read_label_maps, read_photo_of
from pipeline.datasets.prompts import Prompt, prompts_json
from pipeline.datasets.work_units import FILES, PlannedFile, finish_files, group_by_photo, plan_files
from pipeline.models.device import pick_device, set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.masks import FastSamSegmentParams, PromptParams, SamSegmentParams, SourceName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import SegmentParams
from pipeline.runtime.console import progress, progress_bar
from pipeline.runtime.manifest import FileEntry, Manifest, settings_sha256, sha256_of, write_manifest
from pipeline.runtime.ray_pool import RayCluster, actor_pool, cluster_of
from pipeline.runtime.resources import catch_disk_full
from pipeline.runtime.resumable import publish, resumable_dir
from pipeline.runtime.stores import Place, in_mirror
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import (
    MaskSource,
    PromptedMask,
    PromptedPhoto,
    fallback_mask,
    prompted_mask,
    prompted_masks,
)
from pipeline.segmentation.prompts import annotated_mask, load_prompts, prompts_of
from pipeline.segmentation.registry import create_verified_source
from pipeline.segmentation.weights import CARD, read_card

# Masks of every sample from a source that answers prompts; interrupted after any photo, it goes on there.


Params: TypeAlias = SamSegmentParams | FastSamSegmentParams
"""Settings of a source that answers prompts."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What every photo needs."""

    source: MaskSource
    params: Params
    raw: Place
    together: int
    """Photos that the source gets at once, the unit of work."""


@dataclass(frozen=True)
class _Opener:
    """Where a source is and how it is used; whoever gets a copy opens it once, at its first file, and keeps it."""

    params: Params
    raw: Place
    weights: Place
    hashes: Mapping[str, str]
    """Of the files of `weights`, by name."""
    device: str

    @cached_property
    def work(self) -> _Work:
        place = pick_device(self.device)
        set_deterministic(self.params.decoding.threads, seed=0)
        source = create_verified_source(self.weights, self.hashes, device=str(place), decoding=self.params.decoding)
        return _Work(source, self.params, self.raw, 1 if place.type == "cpu" else self.params.decoding.photos_per_batch)

    def write_file(self, planned: PlannedFile, path: Path) -> None:
        """Write one file; nothing of it outlives an interruption, since another machine may be at the same one."""
        units = plan_files(planned.samples, photos_per_file=self.work.together)
        masks = [mask for unit in units for mask in _masks(self.work, unit)]
        write_mask_file(masks, path, _metadata(self.params))


def write_prompted_masks(  # noqa: PLR0913 - every path the stage touches, and who works
    params: Params,
    *,
    raw: Path,
    samples: Path,
    weights: Path,
    masks: Path,
    device: str,
    cluster: RayCluster | None = None,
    mirror: str | None = None,
) -> None:
    """Write `masks/<split>-<number>.parquet`, one row per sample, and `masks/manifest.json`.

    Args:
        params: Prompts, how they are answered, and size of a file.
        raw: Folder of photos and label maps.
        samples: Sample table.
        weights: Output of stage `mask_weights` for this source.
        masks: Folder to write.
        device: `auto`, `cpu`, `cuda` or `mps`.
        cluster: Works instead of this process: an actor a GPU, or a CPU core a thread; no effect on the bytes.
        mirror: URL below which photos, label maps and weights are read; no effect on the bytes.

    Raises:
        DatasetError: If a photo or label map is absent or not as `index` read it, or a prompt lies outside its photo.
        ParamsError: If the source's package or the device is absent.
        WeightsError: If the weights are absent, damaged, or another source's.
    """
    settings = settings_sha256(params)
    needed = sum(sample.photo_height * sample.photo_width // 8 for sample in read_samples(samples))  # bits
    hashes = _hashes(weights)
    identity = (settings, sha256_of(samples), *hashes.values())
    opener = _Opener(params, in_mirror(raw, mirror), in_mirror(weights, mirror), hashes, device)
    with resumable_dir("segment", *identity) as folder, catch_disk_full(folder, needed):
        manifest = Manifest(
            kind=KIND,
            schema_version=SCHEMA_VERSION,
            source=params.source,
            image_size=0,
            categories=tuple(category.name for category in read_categories(samples)),
            settings_sha256=settings,
            files=_finish_all(opener, samples, folder, cluster),
        )
        write_manifest(manifest, folder / FILES)
        publish(folder / FILES, masks)


def _hashes(weights: Path) -> dict[str, str]:
    names = (CARD, read_card(weights).stored)
    return {name: sha256_of(weights / name) for name in names if name and (weights / name).is_file()}


def _finish_all(opener: _Opener, samples: Path, folder: Path, cluster: RayCluster | None) -> tuple[FileEntry, ...]:
    planned, total = partial(_files, opener.params, samples), sum(1 for _ in group_by_photo(read_samples(samples)))
    finish = _finish_here if cluster is None else partial(_finish_far, cluster)
    with progress_bar(total, what=f"segment {opener.params.source}", unit="photo") as bar:
        return tuple(_counted(planned(), finish(opener, planned(), folder, bar), bar))


def _finish_here(
    opener: _Opener, planned: Iterable[PlannedFile], folder: Path, bar: "tqdm[None]"
) -> Iterator[FileEntry]:
    # One process: a model has the threads, or the GPU, to itself.
    return finish_files(partial(_write_prompted_file, opener.work, bar), planned, folder, workers=1)


def _finish_far(
    cluster: RayCluster, opener: _Opener, planned: Iterable[PlannedFile], folder: Path, _: "tqdm[None]"
) -> Iterator[FileEntry]:
    with actor_pool(cluster, device=opener.device, threads=opener.params.decoding.threads) as crew:
        write = replace(opener, device=crew.device).write_file
        yield from finish_files(write, planned, folder, workers=1, cluster=crew)


def _files(params: Params, samples: Path) -> Iterator[PlannedFile]:
    return plan_files(read_samples(samples), photos_per_file=params.photos_per_file)


def _counted(
    planned: Iterable[PlannedFile], finished: Iterable[FileEntry], bar: "tqdm[None]", *, first: int = 0
) -> Iterator[FileEntry]:
    """Pass entries on, telling the bar of their photos, also of those that an earlier run finished."""
    done = first
    for file, entry in zip(planned, finished, strict=True):
        done += sum(1 for _ in group_by_photo(file.samples))
        bar.update(done - bar.n)
        yield entry


def _write_prompted_file(work: _Work, bar: "tqdm[None]", planned: PlannedFile, path: Path) -> None:
    """Write one file from units of a few photos, each of which is kept as soon as it is done."""
    parts = path.with_name(f"{planned.name}.parts")
    parts.mkdir(exist_ok=True)
    units = list(plan_files(planned.samples, photos_per_file=work.together))
    finished = finish_files(partial(_write_unit, work), units, parts, workers=1)
    done = _counted(units, finished, bar, first=int(bar.n))
    masks = [mask for entry in done for mask in read_mask_file(parts / FILES / entry.name)]
    write_mask_file(masks, path, _metadata(work.params))
    shutil.rmtree(parts)


def _write_unit(work: _Work, unit: PlannedFile, path: Path) -> None:
    write_mask_file(_masks(work, unit), path, _metadata(work.params))


def _masks(work: _Work, unit: PlannedFile) -> list[StoredMask]:
    photos = [_prompted(of_photo, work) for of_photo in group_by_photo(unit.samples)]
    found = prompted_masks(work.source, photos)
    prompts = {sample_id: asked for photo in photos for sample_id, asked in photo.prompts.items()}
    return [_stored(sample_id, mask, prompts[sample_id], work) for sample_id, mask in found.items()]


def _prompted(samples: tuple[Sample, ...], work: _Work) -> PromptedPhoto:
    label_maps = read_label_maps(samples, work.raw)
    prompts = {sample.sample_id: _prompts(sample, label_maps, work.params.prompts) for sample in samples}
    return PromptedPhoto(read_photo_of(samples[0], work.raw), prompts)


def _prompts(sample: Sample, label_maps: Mapping[str, LabelMap], params: PromptParams) -> tuple[Prompt, ...]:
    if sample.label_map_path is None:
        return load_prompts(sample.prompts or "[]", sample_id=sample.sample_id)
    mask = annotated_mask(label_maps[sample.label_map_path], sample.mask_value, sample_id=sample.sample_id)
    return prompts_of(mask, params, sample_id=sample.sample_id)


def _stored(sample_id: str, found: PromptedMask, prompts: Sequence[Prompt], work: _Work) -> StoredMask:
    tiny = found.status == "ok" and found.mask.sum() < work.params.tiny_area
    return StoredMask.of(
        found.mask,
        sample_id=sample_id,
        score=found.score,
        status="tiny" if tiny else found.status,
        prompts=prompts_json(prompts),
    )


def _metadata(params: Params) -> dict[str, str]:
    return {"schema_version": str(SCHEMA_VERSION), "settings_sha256": settings_sha256(params)}


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
    write = partial(_write_file, params=params, raw=in_mirror(raw, mirror), metadata=metadata)
    needed = sum(sample.photo_height * sample.photo_width // 8 for sample in read_samples(samples))  # bits
    with resumable_dir("segment", settings, sha256_of(samples)) as folder, catch_disk_full(folder, needed):
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
    masks = [mask for of_photo in group_by_photo(planned.samples) for mask in _masks_of_photo(of_photo, params, raw)]
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
        answer = fallback_mask(photo, prompts, sample_id=sample.sample_id)
    else:
        answer = prompted_mask(source, photo, prompts, sample_id=sample.sample_id)
    status = source.name if answer.status == "ok" else answer.status
    return StoredMask.of(
        answer.mask, sample_id=sample.sample_id, score=answer.score, status=status, prompts=sample.prompts
    )
