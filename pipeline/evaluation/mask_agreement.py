"""Masks of a source against the annotation, and runs on the cut-outs of both; the paper's section 3.1.

The paper claims "only ignorable discrepancies" between prompted masks and annotation, without a test. Here a change is
ignorable if its whole 95 % interval lies within the stated margins.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.arrays import Mask
from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation.bootstrap import Bootstrap, Interval, StoredInterval, mean_intervals, paired_differences
from pipeline.evaluation.metrics import DIGITS, macro_f1, top1
from pipeline.evaluation.predictions import PredictionTable
from pipeline.imaging.components import boundary_iou, iou
from pipeline.imaging.letterbox import letterbox_mask, letterbox_rect
from pipeline.params.base import Section
from pipeline.params.masks import AgreementParams, TransferParams

AREAS = ((0.01, "below 1 %"), (0.05, "1 to 5 %"), (0.2, "5 to 20 %"), (math.inf, "20 % and more"))
"""Upper ends of the groups by the annotated mask's share of the photo."""
PARTS = ((2.0, "1"), (3.0, "2"), (5.0, "3 or 4"), (math.inf, "5 and more"))
"""Upper ends of the groups by the number of the annotated mask's parts."""
RANKS = ("best", "median", "worst")


class AgreementRow(NamedTuple):
    """One sample that has both masks."""

    sample_id: str  # `<photo id>/<category id>`
    split: str  # `train`, `validation` or `test`
    category: str
    share: float  # annotated area over photo area, in [0, 1]
    parts: int  # 8-connected parts of the annotated mask
    status: str  # status of the source's mask: ok, empty or tiny
    score: float  # the source's own confidence in [0, 1]
    iou: float  # at the size of the photo
    boundary_iou: float  # of the rims, at the size of the photo
    seen_iou: float  # at the size the models see


class AgreementGroup(Section):
    """Agreement of a group of samples: means with their 95 % intervals over photos."""

    by: str  # `all`, `split`, `area`, `parts`, `status` or `category`
    name: str
    samples: int
    median_iou: float  # at the size of the photo; so is the mean
    iou: StoredInterval
    boundary_iou: StoredInterval
    seen_iou: StoredInterval  # at the size the models see


class ShownSample(Section):
    """A sample with a picture."""

    rank: str  # `best`, `median` or `worst`
    file: str
    sample_id: str
    category: str
    iou: float
    status: str


class AgreementSummary(Section):
    """`summary.json` of stage `agreement`."""

    source: str
    weights: str  # where its weights came from; with `random` the numbers mean nothing
    samples: int  # samples with both masks; 0 where there was nothing to compare
    image_size: int  # side in pixels at which the models see the masks
    groups: tuple[AgreementGroup, ...]  # all samples first
    shown: tuple[ShownSample, ...]


def measure_agreement(mask: Mask, other: Mask, params: AgreementParams) -> tuple[float, float, float]:
    """Return IoU, boundary IoU and the IoU the models see, of an annotated and another mask; each in [0, 1]."""
    rect = letterbox_rect(*mask.shape, size=params.image_size, geometry=params.geometry)
    seen = (letterbox_mask(each, size=params.image_size, rect=rect) for each in (mask, other))
    return iou(mask, other), boundary_iou(mask, other, width=params.boundary), iou(*seen)


def group_rows(rows: Sequence[AgreementRow], bootstrap: Bootstrap) -> tuple[AgreementGroup, ...]:
    """Summarise rows: all, then by split, area, number of parts, status and category."""
    keys: Mapping[str, Callable[[AgreementRow], str]] = {
        "all": lambda _: "all",
        "split": lambda row: row.split,
        "area": lambda row: _range(row.share, AREAS),
        "parts": lambda row: _range(float(row.parts), PARTS),
        "status": lambda row: row.status,
        "category": lambda row: row.category,
    }
    order = [name for _, name in (*AREAS, *PARTS)]
    groups = []
    for by, key in keys.items():
        for name in sorted(set(map(key, rows)), key=lambda name: (order.index(name) if name in order else -1, name)):
            members = [row for row in rows if key(row) == name]
            values = np.array([(row.iou, row.boundary_iou, row.seen_iou) for row in members])
            found = mean_intervals(values, [photo_id_of(row.sample_id) for row in members], bootstrap)
            means = dict(zip(("iou", "boundary_iou", "seen_iou"), map(StoredInterval.of, found), strict=True))
            median = round(float(np.median(values[:, 0])), DIGITS)
            groups.append(AgreementGroup(by=by, name=name, samples=len(members), median_iou=median, **means))
    return tuple(groups)


def _range(value: float, ends: Iterable[tuple[float, str]]) -> str:
    return next(name for end, name in ends if value < end)


def choose_shown(rows: Sequence[AgreementRow], count: int) -> dict[str, tuple[AgreementRow, ...]]:
    """Return up to `count` samples of each rank by IoU; no sample twice."""
    ranked = sorted(rows, key=lambda row: (-row.iou, row.sample_id))
    count = min(count, len(ranked) // len(RANKS))
    middle = (len(ranked) - count) // 2
    parts = (ranked[:count], ranked[middle : middle + count], ranked[::-1][:count])
    return dict(zip(RANKS, map(tuple, parts), strict=True))


class RunTransfer(Section):
    """One run on the cut-outs of both sources; the same test samples."""

    run: str
    samples: int
    photos: int  # photos they come from, which are resampled
    top1: tuple[float, float]  # in [0, 1] on annotation, on the source
    macro_f1: tuple[float, float]  # likewise
    top1_change: StoredInterval  # source minus annotation, paired by sample
    macro_f1_change: StoredInterval  # likewise
    ignorable: bool


class TransferSummary(Section):
    """`summary.json` of stage `transfer`."""

    source: str
    weights: str  # where its weights came from; with `random` the result says nothing about the paper
    trained_on: str  # mask source that the runs were trained on; the paper's claim is about annotation
    top1_margin: float  # change that is ignorable
    macro_f1_margin: float  # likewise
    runs: tuple[RunTransfer, ...]  # none where there was nothing to compare

    @property
    def ignorable(self) -> bool:
        """Tell whether the change is ignorable for every run."""
        return all(run.ignorable for run in self.runs)


def compare_sources(
    run: str, reference: PredictionTable, other: PredictionTable, params: TransferParams
) -> RunTransfer:
    """Compare the predictions of one run on the test cut-outs of annotation and of another source.

    Raises:
        EvaluationError: If the tables hold other samples or none.
    """
    changes = paired_differences(reference, other, None, Bootstrap(params.seed))
    accuracies, scores = (
        [round(score(table.targets, table.predictions), DIGITS) for table in (reference, other)]
        for score in (top1, macro_f1)
    )
    return RunTransfer(
        run=run,
        samples=len(reference.sample_ids),
        photos=len(set(reference.photo_ids)),
        top1=(accuracies[0], accuracies[1]),
        macro_f1=(scores[0], scores[1]),
        top1_change=StoredInterval.of(changes["top1"]),
        macro_f1_change=StoredInterval.of(changes["macro_f1"]),
        ignorable=within(changes["top1"], params.top1_margin) and within(changes["macro_f1"], params.macro_f1_margin),
    )


def within(change: Interval, margin: float) -> bool:
    """Tell whether the whole interval of a change lies within +- a margin."""
    return -margin <= change.low and change.high <= margin
