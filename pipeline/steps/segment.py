"""Find the region of interest of every sample by a mask source; an interrupted stage resumes after its last photo."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

from tqdm import tqdm  # noqa: TC002 - the types are checked while tests run

from pipeline.datasets.index import read_categories, read_samples
from pipeline.datasets.masks import KIND, SCHEMA_VERSION, StoredMask, read_mask_file, write_mask_file
from pipeline.datasets.photos import read_masks, read_photo_of
from pipeline.datasets.prompts import Prompt, prompts_json
from pipeline.datasets.work_units import FILES, PlannedFile, finish_files, group_by_photo, plan_files
from pipeline.params.base import load_settings
from pipeline.params.masks import FastSamSegmentParams, GrabCutSegmentParams, SamSegmentParams, SourceName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import SegmentParams
from pipeline.runtime.console import progress, progress_bar
from pipeline.runtime.manifest import FileEntry, Manifest, settings_sha256, sha256_of, write_manifest
from pipeline.runtime.ray_pool import RayCluster, actor_pool, cluster_of
from pipeline.runtime.resources import catch_disk_full
from pipeline.runtime.resumable import publish, resumable_dir
from pipeline.runtime.stores import Place, in_mirror
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import MaskSource, PromptedPhoto, fallback_mask, prompted_mask, prompted_masks
from pipeline.segmentation.prompts import load_prompts, prompts_of
from pipeline.segmentation.registry import create_verified_source
from pipeline.segmentation.weights import read_card

Params: TypeAlias = SamSegmentParams | FastSamSegmentParams | GrabCutSegmentParams
"""Settings of a source that predicts masks from prompts."""
SCHEMAS: dict[SourceName, type[Params]] = {"fastsam": FastSamSegmentParams, "grabcut": GrabCutSegmentParams}
"""Settings of the sources that are no SAM of some kind."""


@dataclass(frozen=True)
class _Segmenter:
    """Write files of prompted masks; every process opens the source once, at its first file."""

    params: Params
    raw: Place
    weights: Place
    hashes: Mapping[str, str]  # of the files of `weights`, by name
    device: str

    @cached_property
    def source(self) -> MaskSource:
        if isinstance(self.params, GrabCutSegmentParams):
            return GrabCut()
        from pipeline.models.device import pick_device, set_deterministic  # noqa: PLC0415 - torch takes seconds

        device = str(pick_device(self.device))
        set_deterministic(self.params.decoding.threads, seed=0)
        return create_verified_source(self.weights, self.hashes, device=device, decoding=self.params.decoding)

    def units(self, planned: PlannedFile) -> Iterator[PlannedFile]:
        """Split a file into the photos that the source gets at once."""
        photos = 1
        if not isinstance(self.params, GrabCutSegmentParams):
            from pipeline.models.device import pick_device  # noqa: PLC0415

            if pick_device(self.device).type != "cpu":
                photos = self.params.decoding.photos_per_batch
        return plan_files(planned.samples, photos_per_file=photos)

    def write_file(self, planned: PlannedFile, path: Path) -> None:
        """Write one file in one go: on a cluster another machine may be writing the same one."""
        masks = [mask for unit in self.units(planned) for mask in self._masks(unit)]
        write_mask_file(masks, path, _metadata(self.params))

    def write_file_by_units(self, bar: "tqdm[None]", planned: PlannedFile, path: Path) -> None:
        """Write one file from units of a few photos, each of which is kept as soon as it is done."""
        parts = path.with_name(f"{planned.name}.parts")
        parts.mkdir(exist_ok=True)
        units = list(self.units(planned))
        finished = _count_photos(units, finish_files(self.write_file, units, parts, workers=1), bar, done=int(bar.n))
        masks = [mask for entry in finished for mask in read_mask_file(parts / FILES / entry.name)]
        write_mask_file(masks, path, _metadata(self.params))
        shutil.rmtree(parts)

    def _masks(self, unit: PlannedFile) -> list[StoredMask]:
        photos: list[PromptedPhoto] = []
        prompts: dict[str, tuple[Prompt, ...]] = {}
        for samples in group_by_photo(unit.samples):
            annotated, asked = read_masks(samples, self.raw), dict[str, tuple[Prompt, ...]]()
            for sample in samples:
                name = sample.sample_id
                if name in annotated:
                    asked[name] = prompts_of(annotated[name], self.params.prompts, sample_id=name)
                else:
                    asked[name] = load_prompts(sample.prompts or "[]", sample_id=name)
            photos.append(PromptedPhoto(read_photo_of(samples[0], self.raw), asked))
            prompts |= asked
        masks = []
        for name, found in prompted_masks(self.source, photos).items():
            tiny = found.status == "ok" and found.mask.sum() < self.params.tiny_area
            status, stored = "tiny" if tiny else found.status, prompts_json(prompts[name])
            masks.append(StoredMask.of(found.mask, sample_id=name, score=found.score, status=status, prompts=stored))
        return masks


def write_prompted_masks(  # noqa: PLR0913 - every path the stage touches, and the cluster
    params: Params,
    *,
    raw: Path,
    samples: Path,
    weights: Path,
    masks: Path,
    device: str,
    workers: int = 1,
    cluster: RayCluster | None = None,
    mirror: str | None = None,
) -> None:
    """Write `masks/<split>-<number>.parquet`, one row per sample, and `masks/manifest.json`.

    A network has this process alone; `workers` are processes of GrabCut. `cluster` works instead of them: an actor a
    GPU, or a CPU core a thread. None of them has an effect on the bytes, nor has `mirror`, below which photos, label
    maps and weights are read.

    Raises:
        DatasetError: If a photo or label map is absent or not as `index` read it, or a prompt lies outside its photo.
        ParamsError: If the source's package or the device is absent.
        WeightsError: If the weights are absent, damaged, or another source's.
    """
    read_card(weights)
    hashes = {path.name: sha256_of(path) for path in sorted(weights.iterdir())}
    segmenter = _Segmenter(params, in_mirror(raw, mirror), in_mirror(weights, mirror), hashes, device)
    planned = partial(plan_files, photos_per_file=params.photos_per_file)
    total = sum(1 for _ in group_by_photo(read_samples(samples)))
    with (
        _publishing(params, samples, masks, *hashes.values()) as (folder, files),
        progress_bar(total, what=f"segment {params.source}", unit="photo") as bar,
        nullcontext()
        if cluster is None or isinstance(params, GrabCutSegmentParams)
        else actor_pool(cluster, device=device, threads=params.decoding.threads) as pool,
    ):
        write: Callable[[PlannedFile, Path], None]
        if isinstance(params, GrabCutSegmentParams):
            write = segmenter.write_file
        elif pool is not None:
            write = replace(segmenter, device=pool.device).write_file
        else:  # the network has the threads, or the GPU, to itself
            write, workers = partial(segmenter.write_file_by_units, bar), 1
        files_planned, by = planned(read_samples(samples)), pool or cluster
        finished = finish_files(write, files_planned, folder, workers=workers, cluster=by)
        files.extend(_count_photos(planned(read_samples(samples)), finished, bar))


@contextmanager
def _publishing(
    params: Params | SegmentParams, samples: Path, masks: Path, *identity: str
) -> Iterator[tuple[Path, list[FileEntry]]]:
    """Lend a resumable folder and the list of its files; write the manifest and publish the folder as `masks`."""
    settings = settings_sha256(params)
    needed = sum(sample.photo_height * sample.photo_width // 8 for sample in read_samples(samples))  # bits
    with resumable_dir("segment", settings, sha256_of(samples), *identity) as folder, catch_disk_full(folder, needed):
        files: list[FileEntry] = []
        yield folder, files
        manifest = Manifest(
            kind=KIND,
            schema_version=SCHEMA_VERSION,
            source=params.source,
            image_size=0,
            categories=tuple(category.name for category in read_categories(samples)),
            settings_sha256=settings,
            files=tuple(files),
        )
        write_manifest(manifest, folder / FILES)
        publish(folder / FILES, masks)


def _count_photos(
    planned: Iterable[PlannedFile], finished: Iterable[FileEntry], bar: "tqdm[None]", *, done: int = 0
) -> Iterator[FileEntry]:
    """Pass entries on and update the bar by their photos, those of files that an earlier run finished included."""
    for file, entry in zip(planned, finished, strict=True):
        done += sum(1 for _ in group_by_photo(file.samples))
        bar.update(done - bar.n)
        yield entry


def _metadata(params: Params | SegmentParams) -> dict[str, str]:
    return {"schema_version": str(SCHEMA_VERSION), "settings_sha256": settings_sha256(params)}


def segment(  # noqa: PLR0913 - every path the stage touches
    source: SourceName, *, settings: Path, raw: Path, samples: Path, weights: Path, masks: Path, runtime: RuntimeParams
) -> None:
    """Write the masks of one source; see `write_masks` and `write_prompted_masks`.

    `runtime` has no effect on the bytes, as long as the device is a CPU.
    """
    workers, cluster, mirror = runtime.worker_count(), cluster_of(runtime), runtime.mirror
    if source == "annotation":
        params = load_settings(SegmentParams, settings)
        write_masks(params, raw=raw, samples=samples, masks=masks, workers=workers, cluster=cluster, mirror=mirror)
        return
    prompted = load_settings(SCHEMAS.get(source, SamSegmentParams), settings)
    places = {"raw": raw, "samples": samples, "weights": weights, "masks": masks}
    device = runtime.device
    write_prompted_masks(prompted, **places, device=device, workers=workers, cluster=cluster, mirror=mirror)


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

    Where a photo has boxes instead of an annotation, GrabCut predicts its masks. It refuses clicks, unless the masks
    are a reference only: then the clicked pixels are the mask, and comparisons leave such samples out.

    `workers`, `cluster`, which works instead of them, and `mirror` have no effect on the bytes.

    Raises:
        DatasetError: If a label map or photo is absent or another one than stage `index` read.
        SpaceError: If the disk has no room for the masks.
    """
    write = partial(_write_file, params=params, raw=in_mirror(raw, mirror))
    with _publishing(params, samples, masks) as (folder, files):
        planned = plan_files(read_samples(samples), photos_per_file=params.photos_per_file)
        entries = finish_files(write, planned, folder, workers=workers, cluster=cluster)
        total = sum(1 for _ in read_samples(samples))
        files.extend(progress(entries, total=total, what="segment", unit="sample", count=lambda entry: entry.rows))


def _write_file(planned: PlannedFile, path: Path, *, params: SegmentParams, raw: Place) -> None:
    masks = []
    for samples in group_by_photo(planned.samples):
        annotated = read_masks(samples, raw)
        for sample in samples:
            name = sample.sample_id
            if name in annotated:
                status = "tiny" if "tiny" in sample.flags else "ok"
                masks.append(StoredMask.of(annotated[name], sample_id=name, score=1.0, status=status, prompts=None))
                continue
            source, prompts = GrabCut(), load_prompts(sample.prompts or "[]", sample_id=name)
            photo = read_photo_of(sample, raw)
            if params.reference_only and any(prompt.kind == "point" for prompt in prompts):
                found = fallback_mask(photo, prompts, sample_id=name)
            else:
                found = prompted_mask(source, photo, prompts, sample_id=name)
            status, stored = source.name if found.status == "ok" else found.status, sample.prompts
            masks.append(StoredMask.of(found.mask, sample_id=name, score=found.score, status=status, prompts=stored))
    write_mask_file(masks, path, _metadata(params))
