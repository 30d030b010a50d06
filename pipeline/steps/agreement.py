"""Compare the masks of a source with the annotation, sample by sample."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

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
from pipeline.runtime.escaping import write_csv
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

    Samples without annotation are left out; `workers` has no effect on the bytes.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If masks are absent, damaged, or of another sample table.
    """
    output.mkdir(parents=True, exist_ok=True)
    folders = (masks / REFERENCE, masks / source)
    rows = [] if source == REFERENCE else _all_rows(params, samples, folders, workers)
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
    said = "nothing to compare"
    if rows:
        write_csv(output / SAMPLES, AgreementRow._fields, rows)
        random = ", but of random weights, so it says nothing" if summary.weights == "random" else ""
        said = f"mean IoU {summary.groups[0].iou.value:.3f} over {counted(len(rows), 'sample')}{random}"
    note(f"agreement of {source} with annotation: {said}")


def _all_rows(params: AgreementParams, samples: Path, folders: tuple[Path, Path], workers: int) -> list[AgreementRow]:
    readers = [Masks(folder) for folder in folders]
    tasks = (
        (file.samples, [reader.locate(file.split, file.first_row, len(file.samples)) for reader in readers])
        for file in plan_files(read_samples(samples), photos_per_file=PHOTOS_PER_TASK)
    )
    total = sum(1 for _ in plan_files(read_samples(samples), photos_per_file=PHOTOS_PER_TASK))
    found = map_ordered(partial(_rows_of, params, folders), tasks, workers=workers)
    return [row for rows in progress(found, total=total, what="agreement", unit="files") for row in rows]


def _rows_of(
    params: AgreementParams, folders: tuple[Path, Path], task: tuple[tuple[Sample, ...], list[MaskRows]]
) -> list[AgreementRow]:
    """Compare the masks of some samples, which lie in rows of both folders."""
    samples, ids = task[0], [sample.sample_id for sample in task[0]]
    references, others = (rows.read(folder) for rows, folder in zip(task[1], folders, strict=True))
    for folder, masks in zip(folders, (references, others), strict=True):
        if [mask.sample_id for mask in masks] != ids:
            raise ManifestError(f"{folder}: holds other samples than the table; run `dvc repro -f segment`")
    return [
        AgreementRow(
            sample.sample_id,
            sample.split,
            sample.category,
            round(sample.mask_share, DIGITS),
            sample.components,
            other.status,
            round(other.score, DIGITS),
            *(round(value, DIGITS) for value in measure_agreement(reference.full(), other.full(), params)),
        )
        for sample, reference, other in zip(samples, references, others, strict=True)
        if sample.label_map_path is not None
    ]


def _write_pictures(
    chosen: Mapping[str, Sequence[AgreementRow]], raw: Path, samples: Path, folders: tuple[Path, Path], pictures: Path
) -> tuple[ShownSample, ...]:
    listed = [(f"{rank}-{number}.png", rank, row) for rank in chosen for number, row in enumerate(chosen[rank], 1)]
    if not listed:
        return ()
    pictures.mkdir(exist_ok=True)
    readers = [Masks(folder) for folder in folders]
    named = choose_named(read_samples(samples), [row.sample_id for _, _, row in listed])
    for (file, _, _), indexed in zip(listed, named, strict=True):
        masks = [reader.locate(indexed.sample.split, indexed.row, 1).read(reader.folder)[0] for reader in readers]
        Pillow.fromarray(_picture(read_photo_of(indexed.sample, raw), *masks)).save(pictures / file)
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
