"""Compare the masks of a source with the annotation, sample by sample."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.datasets.index import Sample, choose_named, read_samples
from pipeline.datasets.masks import MaskRows, Masks, StoredMask
from pipeline.datasets.photos import read_masks, read_photo_of, read_void
from pipeline.datasets.work_units import group_by_photo, plan_files
from pipeline.evaluation import mask_agreement
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.mask_agreement import AgreementRow
from pipeline.evaluation.metrics import DIGITS
from pipeline.evaluation.semantic_map import BACKGROUND, OVERLAPS, VOID, Overlap, count_overlaps, paint, write_overlaps
from pipeline.imaging.components import compare_masks
from pipeline.params.masks import AgreementParams, SourceName
from pipeline.runtime.console import note, progress
from pipeline.runtime.errors import counted
from pipeline.runtime.escaping import write_csv
from pipeline.runtime.parallel import map_ordered
from pipeline.segmentation.prompts import load_prompts
from pipeline.segmentation.weights import read_card

REFERENCE = "annotation"
SUMMARY, SAMPLES, PICTURES = "summary.json", "samples.csv", "pictures"
PHOTOS_PER_TASK = 32
LONGEST_SIDE = 480  # pixels of a picture's longer side at most
PROMPT_COLOUR = (255, 214, 10)  # yellow, RGB
Task: TypeAlias = tuple[tuple[Sample, ...], list[MaskRows]]  # samples, and where their masks lie in each folder
RowT = TypeVar("RowT")


def compare_source(  # noqa: PLR0913 - every path the stage touches
    params: AgreementParams,
    *,
    source: SourceName,
    raw: Path,
    samples: Path,
    weights: Path,
    masks: Path,
    output: Path,
    workers: int,
) -> None:
    """Write `summary.json`, `overlaps.parquet`, and unless the source is annotation `samples.csv` and `pictures/`.

    Samples without annotation are left out; `workers` has no effect on the bytes. The overlaps are of the test split,
    in masks of annotation and source.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If masks are absent, damaged, or of another sample table.
    """
    output.mkdir(parents=True, exist_ok=True)
    folders = (masks / REFERENCE, masks / source)
    compare = partial(_rows_of, params, folders)
    rows = [] if source == REFERENCE else _over_files(compare, samples, folders, workers, what="agreement")
    chosen = mask_agreement.choose_shown(rows, params.shown)
    summary = mask_agreement.AgreementSummary(
        source=source,
        weights=read_card(weights).origin,
        samples=len(rows),
        image_size=params.image_size,
        groups=mask_agreement.group_rows(rows, Bootstrap(params.seed)),
        shown=_write_pictures(chosen, raw, samples, folders, output / PICTURES),
    )
    summary.write(output / SUMMARY)
    painted = tuple(dict.fromkeys(folders))
    overlap = partial(_overlaps_of, params, painted, raw)
    overlaps = _over_files(overlap, samples, painted, workers, what="overlaps", splits=("test",))
    write_overlaps(overlaps, output / OVERLAPS)
    said = "nothing to compare"
    if rows:
        write_csv(output / SAMPLES, AgreementRow._fields, rows)
        random = ", but of random weights, so it says nothing" if summary.weights == "random" else ""
        said = f"mean IoU {summary.groups[0].iou.value:.3f} over {counted(len(rows), 'sample')}{random}"
    note(f"agreement of {source} with annotation: {said}")


def _over_files(  # noqa: PLR0913 - what to do, on what, and how
    work: Callable[[Task], list[RowT]],
    samples: Path,
    folders: Sequence[Path],
    workers: int,
    *,
    what: str,
    splits: Sequence[str] = (),
) -> list[RowT]:
    """Return the rows of all samples of some splits, or of all, in order; `work` gets those of some photos."""
    readers = [Masks(folder) for folder in folders]
    planned = [
        (file.samples, [reader.locate(file.split, file.first_row, len(file.samples)) for reader in readers])
        for file in plan_files(read_samples(samples), photos_per_file=PHOTOS_PER_TASK)
        if not splits or file.split in splits
    ]
    done = zip(planned, map_ordered(work, planned, workers=workers), strict=True)
    total = sum(len(task[0]) for task in planned)
    bar = progress(done, total=total, what=what, unit="sample", count=lambda each: len(each[0][0]))
    return [row for _, rows in bar for row in rows]


def _read_task(folders: Sequence[Path], task: Task) -> list[list[StoredMask]]:
    """Return the masks of some samples, folder by folder; raise `ManifestError` if they are those of other samples."""
    ids = [sample.sample_id for sample in task[0]]
    return [rows.read(folder, ids) for rows, folder in zip(task[1], folders, strict=True)]


def _overlaps_of(params: AgreementParams, folders: Sequence[Path], raw: Path, task: Task) -> list[Overlap]:
    """Lay the masks of each folder on the annotation of photos that are annotated as a whole."""
    read = [{mask.sample_id: mask.full() for mask in masks} for masks in _read_task(folders, task)]
    rows: list[Overlap] = []
    for photo in group_by_photo(task[0]):
        annotated = read_masks(photo, raw)
        if len(annotated) < len(photo):
            continue
        truth = paint([annotated[sample.sample_id] for sample in photo], [sample.target for sample in photo])
        truth[read_void(photo[0], raw, params.void)] = VOID
        for folder, masks in zip(folders, read, strict=True):
            owner = paint([masks[sample.sample_id] for sample in photo], range(len(photo)))
            for place, true, pixels in count_overlaps(truth, owner):
                named = ("", BACKGROUND) if place == BACKGROUND else (photo[place].sample_id, photo[place].target)
                rows.append(Overlap(folder.name, photo[0].photo_id, *named, true, pixels))
    return rows


def _rows_of(params: AgreementParams, folders: Sequence[Path], task: Task) -> list[AgreementRow]:
    """Compare the masks of some samples, which lie in rows of both folders."""
    samples, (references, others) = task[0], _read_task(folders, task)
    return [
        AgreementRow(
            sample.sample_id,
            sample.split,
            sample.category,
            round(sample.mask_share, DIGITS),
            sample.components,
            other.status,
            round(other.score, DIGITS),
            *(
                round(value, DIGITS)
                for value in mask_agreement.measure_agreement(reference.full(), other.full(), params)
            ),
        )
        for sample, reference, other in zip(samples, references, others, strict=True)
        if sample.label_map_path is not None
    ]


def _write_pictures(
    chosen: Mapping[str, Sequence[AgreementRow]], raw: Path, samples: Path, folders: tuple[Path, Path], pictures: Path
) -> tuple[mask_agreement.ShownSample, ...]:
    listed = [(f"{rank}-{number}.png", rank, row) for rank in chosen for number, row in enumerate(chosen[rank], 1)]
    if not listed:
        return ()
    pictures.mkdir(exist_ok=True)
    readers = [Masks(folder) for folder in folders]
    named = choose_named(read_samples(samples), [row.sample_id for _, _, row in listed])
    for (file, _, _), indexed in zip(listed, named, strict=True):
        masks = [reader.locate(indexed.sample.split, indexed.row, 1).read(reader.folder)[0] for reader in readers]
        Pillow.fromarray(_picture(read_photo_of(indexed.sample, raw), *masks)).save(pictures / file)
    fields = ("sample_id", "category", "iou", "status")
    return tuple(
        mask_agreement.ShownSample(rank=rank, file=file, **{name: getattr(row, name) for name in fields})
        for file, rank, row in listed
    )


def _picture(photo: Image, reference: StoredMask, other: StoredMask) -> Image:
    shown = np.ascontiguousarray(compare_masks(photo, reference.full(), other.full()))
    thick = max(1, round(max(photo.shape) / LONGEST_SIDE))
    for prompt in load_prompts(other.prompts or "[]", sample_id=other.sample_id):
        x0, y0, x1, y1 = map(int, prompt.bounds())
        cv2.rectangle(shown, (x0, y0), (x1, y1), PROMPT_COLOUR, thick)
        if prompt.point:
            x, y = map(int, prompt.point)
            cv2.circle(shown, (x, y), 4 * thick, PROMPT_COLOUR, -1)
    scale = min(1.0, LONGEST_SIDE / max(photo.shape))
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    return np.asarray(Pillow.fromarray(shown).resize(size, Pillow.Resampling.LANCZOS))
