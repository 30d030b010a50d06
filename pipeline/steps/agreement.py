"""Compare the masks of a source with the annotation, sample by sample."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.datasets.index import Sample, choose_named, read_samples
from pipeline.datasets.masks import MaskRows, Masks, StoredMask
from pipeline.datasets.photos import read_photo_of
from pipeline.datasets.work_units import plan_files
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.mask_agreement import (
    AgreementRow,
    AgreementSummary,
    ShownSample,
    choose_shown,
    group_rows,
    measure_agreement,
)
from pipeline.evaluation.metrics import DIGITS
from pipeline.imaging.components import compare_masks
from pipeline.params.masks import AgreementParams, SourceName
from pipeline.runtime.console import note, progress
from pipeline.runtime.errors import ManifestError, counted
from pipeline.runtime.escaping import spreadsheet
from pipeline.runtime.parallel import map_ordered
from pipeline.segmentation.prompts import load_prompts
from pipeline.segmentation.weights import read_card

REFERENCE = "annotation"
SUMMARY, SAMPLES, PICTURES = "summary.json", "samples.csv", "pictures"
PHOTOS_PER_TASK = 32
LONGEST_SIDE = 480
"""Pixels of a picture's longer side at most."""
PROMPT_COLOUR = (255, 214, 10)
"""Yellow, RGB."""

Folders: TypeAlias = tuple[Path, Path]
"""Masks of the annotation, masks of the source."""


@dataclass(frozen=True, slots=True)
class _AgreementTask:
    """Some samples and where their two masks lie."""

    samples: tuple[Sample, ...]
    rows: tuple[MaskRows, MaskRows]


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
    """Write `output/summary.json`, and unless the source is annotation `samples.csv` and `pictures/`.

    Samples without annotation are left out.

    Args:
        params: Section `agreement`.
        source: Mask source to compare with annotation.
        raw: Folder of photos.
        samples: Sample table.
        weights: Output of stage `mask_weights` for the source.
        masks: Outputs of stage `segment`, one folder a source.
        output: Folder to write.
        workers: Processes; no effect on the bytes.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If masks are absent, damaged, or of another sample table.
    """
    output.mkdir(parents=True, exist_ok=True)
    folders = (masks / REFERENCE, masks / source)
    rows = [] if source == REFERENCE else list(_all_rows(params, samples, folders, workers))
    shown = _write_pictures(choose_shown(rows, params.shown), raw, samples, folders, output / PICTURES)
    summary = AgreementSummary(
        source=source,
        weights=read_card(weights).origin,
        samples=len(rows),
        image_size=params.image_size,
        groups=group_rows(rows, Bootstrap(params.seed)),
        shown=shown,
    )
    summary.write(output / SUMMARY)
    if rows:
        _write_rows(rows, output / SAMPLES)
    note(f"agreement of {source} with annotation: " + (_summary_line(summary) if rows else "nothing to compare"))


def _all_rows(params: AgreementParams, samples: Path, folders: Folders, workers: int) -> Iterator[AgreementRow]:
    total = sum(1 for _ in plan_files(read_samples(samples), photos_per_file=PHOTOS_PER_TASK))
    found = map_ordered(partial(_rows_of, params, folders), _tasks(samples, folders), workers=workers)
    for rows in progress(found, total=total, what="agreement", unit="files"):
        yield from rows


def _tasks(samples: Path, folders: Folders) -> Iterator[_AgreementTask]:
    readers = tuple(Masks(folder) for folder in folders)
    for file in plan_files(read_samples(samples), photos_per_file=PHOTOS_PER_TASK):
        reference, other = (reader.locate(file.split, file.first_row, len(file.samples)) for reader in readers)
        yield _AgreementTask(file.samples, (reference, other))


def _rows_of(params: AgreementParams, folders: Folders, task: _AgreementTask) -> list[AgreementRow]:
    references, others = (rows.read(folder) for rows, folder in zip(task.rows, folders, strict=True))
    ids = [sample.sample_id for sample in task.samples]
    for folder, masks in zip(folders, (references, others), strict=True):
        if [mask.sample_id for mask in masks] != ids:
            raise ManifestError(f"{folder}: holds other samples than the table; run `dvc repro -f segment`")
    return [
        _row(sample, reference, other, params)
        for sample, reference, other in zip(task.samples, references, others, strict=True)
        if sample.label_map_path is not None
    ]


def _row(sample: Sample, reference: StoredMask, other: StoredMask, params: AgreementParams) -> AgreementRow:
    measured = (round(value, DIGITS) for value in measure_agreement(reference.full(), other.full(), params))
    return AgreementRow(
        sample.sample_id,
        sample.split,
        sample.category,
        round(sample.mask_share, DIGITS),
        sample.components,
        other.status,
        round(other.score, DIGITS),
        *measured,
    )


def _write_pictures(
    chosen: Mapping[str, Sequence[AgreementRow]], raw: Path, samples: Path, folders: Folders, pictures: Path
) -> tuple[ShownSample, ...]:
    listed = [(f"{rank}-{number}.png", rank, row) for rank in chosen for number, row in enumerate(chosen[rank], 1)]
    if listed:
        pictures.mkdir(exist_ok=True)
    readers = tuple(Masks(folder) for folder in folders) if listed else ()
    named = choose_named(read_samples(samples), [row.sample_id for _, _, row in listed])
    for (file, _, _), numbered in zip(listed, named, strict=True):
        masks = [reader.locate(numbered.sample.split, numbered.row, 1).read(reader.folder)[0] for reader in readers]
        photo = read_photo_of(numbered.sample, raw)
        Pillow.fromarray(_picture(photo, *masks)).save(pictures / file)
    return tuple(
        ShownSample(
            rank=rank, file=file, sample_id=row.sample_id, category=row.category, iou=row.iou, status=row.status
        )
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


def _write_rows(rows: Sequence[AgreementRow], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(AgreementRow._fields)
        writer.writerows(map(spreadsheet, row) for row in rows)


def _summary_line(summary: AgreementSummary) -> str:
    whole = summary.groups[0]
    random = ", but of random weights, so it says nothing" if summary.weights == "random" else ""
    return f"mean IoU {whole.iou.value:.3f} over {counted(summary.samples, 'sample')}{random}"
