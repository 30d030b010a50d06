"""FoodSAM's idea as a baseline: a semantic segmentation model votes for a category inside each test mask."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from pipeline.acquisition.model_folder import find_model
from pipeline.arrays import Mask
from pipeline.datasets.index import Sample, read_categories, read_samples
from pipeline.datasets.masks import Masks
from pipeline.datasets.photos import read_photo_of
from pipeline.datasets.work_units import group_by_photo, plan_files
from pipeline.evaluation.metrics import DIGITS, macro_f1, top1
from pipeline.evaluation.predictions import PREDICTIONS, PredictionWriter
from pipeline.models.device import pick_device
from pipeline.params.masks import VoteModelParams, VoteSummary
from pipeline.runtime.console import note, progress
from pipeline.runtime.errors import ParamsError, counted
from pipeline.runtime.stores import Place
from pipeline.segmentation.registry import PACKAGES

SUMMARY = "vote.json"
SPLIT, PHOTOS_PER_READ = "test", 32


def vote(  # noqa: PLR0913 - every path the stage touches
    params: VoteModelParams, *, name: str, raw: Place, samples: Path, masks: Path, output: Path, device: str
) -> None:
    """Write `output/vote.json` and `output/predictions.parquet`, whose logits are logarithms of shares of votes.

    A sample is of the category that most pixels of its mask vote for, of equal ones the first in class order.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If masks are absent, damaged, or of another sample table.
        ParamsError: If the package transformers is not installed, or the device is not there.
        WeightsError: If the model cannot be had, is none of semantic segmentation, or names no category.
    """
    try:
        from pipeline.segmentation.semantic import SemanticModel  # noqa: PLC0415 - transformers may be absent
    except ModuleNotFoundError as error:
        absent = f"the package {error.name} is not installed; `{PACKAGES['transformers'][1]}` installs it"
        raise ParamsError(f"vote.models.{name}: {absent}") from error
    key, categories = f"vote.models.{name}", tuple(category.name for category in read_categories(samples))
    found = find_model(key, params.model, params.revision)
    model = SemanticModel(found.path, categories, device=pick_device(device), key=key)
    output.mkdir(parents=True, exist_ok=True)
    targets, answers = list[int](), list[int]()
    total = sum(1 for _ in group_by_photo(sample for sample in read_samples(samples) if sample.split == SPLIT))
    with closing(PredictionWriter(output / PREDICTIONS, run=f"vote@{name}", class_names=categories)) as writer:
        for photo, regions in progress(_photos(samples, masks), total=total, what=f"vote {name}", unit="photo"):
            votes = model.count_votes(read_photo_of(photo[0], raw), regions)
            true, winners = np.array([sample.target for sample in photo]), votes.argmax(axis=1)
            shares = (votes + 1) / (votes.sum(axis=1, keepdims=True) + len(categories))
            ids = [sample.sample_id for sample in photo]
            writer.write(ids, true, winners, np.log(shares).astype(np.float32))
            targets += true.tolist()
            answers += winners.tolist()
    scored = np.array(targets), np.array(answers)
    summary = VoteSummary(
        name=name,
        model=found.name,
        architecture=model.model.config.model_type,
        sha256=found.sha256(),
        source=masks.name,
        samples=len(targets),
        top1=round(top1(*scored), DIGITS),
        macro_f1=round(macro_f1(*scored), DIGITS),
        labels_without_category=model.unmatched,
        categories_without_label=tuple(n for place, n in enumerate(categories) if place not in model.targets.values()),
    )
    summary.write(output / SUMMARY)
    unnamed = ", ".join(summary.categories_without_label)
    note(
        f"vote {name}: {summary.top1:.1%} top-1, macro F1 {summary.macro_f1:.3f}, {counted(len(targets), 'sample')}\n"
        f"labels that are no category: {', '.join(model.unmatched) or 'none'}\n"
        f"categories without a label, which it cannot answer: {unnamed or 'none'}"
    )


def _photos(samples: Path, masks: Path) -> Iterator[tuple[tuple[Sample, ...], list[Mask]]]:
    """Yield the samples of each test photo with their masks."""
    reader = Masks(masks)
    for file in plan_files(read_samples(samples), photos_per_file=PHOTOS_PER_READ):
        if file.split != SPLIT:
            continue
        ids = [sample.sample_id for sample in file.samples]
        full = dict(zip(ids, reader.locate(SPLIT, file.first_row, len(ids)).read(masks, ids), strict=True))
        for photo in group_by_photo(file.samples):
            yield photo, [full[sample.sample_id].full() for sample in photo]
