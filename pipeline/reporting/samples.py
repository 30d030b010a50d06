"""The samples that the page shows: choice by hash, pictures, and what two runs predict for some of them.

Samples are ranked by a hash, so that neither the order of files nor a person selects them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.arrays import Logits
from pipeline.datasets.index import Sample, read_samples
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.stages import ReportParams
from pipeline.reporting.finding import Finding, PairedRuns, correctness_of, only_correct, scope_of
from pipeline.reporting.pictures import SPLIT, Picture, SamplePictures, highlight, picture, read_pictures
from pipeline.reporting.results import ReportInputs

SAMPLES_OF_PAIR = 2
"""Samples of each ambiguous category on the contact sheet."""
TOP = 3
"""Most probable categories listed per run."""


def rank(sample_id: str, seed: int) -> bytes:
    """Return the sort key of a sample in an order that depends on the seed alone."""
    return hashlib.sha256(f"{seed}/{sample_id}".encode()).digest()


def choose_samples(samples: Iterable[Sample], ambiguous: Collection[str], count: int, seed: int) -> tuple[Sample, ...]:
    """Choose the contact sheet: two samples of each ambiguous category, then as many categories as possible.

    Memory is bounded by the number of categories. `count` is the number in all, unless the pair needs more.
    """
    best: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_category = [*best[sample.category], sample]
        best[sample.category] = sorted(of_category, key=lambda s: rank(s.sample_id, seed))[:SAMPLES_OF_PAIR]
    pair = [sample for name in ambiguous for sample in best.pop(name, [])]
    firsts = sorted((of_category[0] for of_category in best.values()), key=lambda s: rank(s.sample_id, seed))
    others = sorted(firsts[: max(0, count - len(pair))], key=lambda s: s.target)
    return (*pair, *others)


def categories_of(table: PredictionTable) -> dict[str, str]:
    """Return the category name of every sample."""
    return {i: table.class_names[target] for i, target in zip(table.sample_ids, table.targets.tolist(), strict=True)}


def choose_ids(sample_ids: Iterable[str], category_of: Mapping[str, str], count: int, seed: int) -> tuple[str, ...]:
    """Choose up to `count` samples, taking the categories in turn."""
    queues: dict[str, list[str]] = defaultdict(list)
    for sample_id in sorted(sample_ids, key=lambda i: rank(i, seed)):
        queues[category_of[sample_id]].append(sample_id)
    turns = [(turn, name, sample_id) for name, queue in queues.items() for turn, sample_id in enumerate(queue)]
    return tuple(sample_id for _, _, sample_id in sorted(turns)[:count])


class SamplePrediction(NamedTuple):
    """What the run of a label predicts for a sample."""

    run: str
    correct: bool
    top: tuple[tuple[str, float], ...]
    """Most probable categories with their probability in [0, 1]."""


class SampleCard(NamedTuple):
    """One sample of the page."""

    sample_id: str
    category: str
    ambiguous: bool
    """Whether it belongs to the ambiguous pair."""
    share: float
    """Mask area over photo area, in [0, 1]."""
    pictures: tuple[tuple[str, Picture], ...]
    """Title and picture: photo, mask, ROI, extra-ROI."""
    predictions: tuple[SamplePrediction, ...]
    """Of the compared runs; none on the contact sheet."""


class Examples(NamedTuple):
    """Samples that exactly one of two runs predicts correctly."""

    title: str
    cards: tuple[SampleCard, ...]
    total: int
    """Number of such samples, shown or not."""


def sample_card(shown: SamplePictures, ambiguous: Sequence[str]) -> SampleCard:
    """Return the card of one sample without predictions; `ambiguous` names the pair."""
    sample, views, food = shown.sample, shown.views, shown.sample.category
    pictures = (
        ("photo", picture(shown.photo, f"Photo {sample.photo_id}")),
        ("mask", picture(highlight(shown.photo, shown.mask), f"The same photo, everything but the {food} dimmed")),
        ("ROI", picture(views.roi[0], f"The {food} alone on black, as the ROI branch sees it")),
        ("extra-ROI", picture(views.extra_roi[0], f"The photo without the {food}, as the other branch sees it")),
    )
    *_, height, width = views.rects[0].tolist()
    share = float(views.masks[0].sum()) / (height * width)
    return SampleCard(sample.sample_id, food, food in ambiguous, share, pictures, ())


def sample_prediction(run: str, target: int, logits: Logits, class_names: Sequence[str]) -> SamplePrediction:
    """Return what the run of a label predicts for one sample of true class `target`.

    `logits` are a single row, divided by the run's temperature.
    """
    odds = np.exp(logits[0].astype(np.float64) - logits.max())
    order = np.argsort(-odds, kind="stable")[:TOP]
    top = tuple((class_names[k], float(odds[k] / odds.sum())) for k in order)
    return SamplePrediction(run, int(order[0]) == target, top)


def paired_predictions(pair: PairedRuns, sample_id: str) -> tuple[SamplePrediction, ...]:
    """Return what both runs predict for one sample."""
    found = []
    for run, table, temperature in zip(pair.runs, (pair.single, pair.double), pair.temperatures, strict=True):
        row = table.sample_ids.index(sample_id)
        logits = table.logits[row : row + 1] / temperature
        found.append(sample_prediction(run.label, int(table.targets[row]), logits, table.class_names))
    return tuple(found)


def show_samples(
    params: ReportParams, finding: Finding, pairs: Sequence[PairedRuns], inputs: ReportInputs, ambiguous: Sequence[str]
) -> tuple[tuple[SampleCard, ...], tuple[Examples, ...]]:
    """Return the contact sheet, and examples of both directions of the first comparison; nothing without photos.

    Where there is a pair, examples are of it, and then of the whole test split. `pairs` are the predictions behind the
    comparisons; none where no backbone was trained both ways.
    """
    if inputs.raw is None:
        return (), ()
    samples = (sample for sample in read_samples(inputs.index / "samples.parquet") if sample.split == SPLIT)
    sheet = [sample.sample_id for sample in choose_samples(samples, ambiguous, params.samples, params.seed)]
    groups = []
    if pairs:
        first, pair, category_of = finding.comparisons[0], pairs[0], categories_of(pairs[0].double)
        directions = {finding.scope: (first.only_double, first.only_single)}
        if ambiguous:
            double, single = (correctness_of(table, ()) for table in (pair.double, pair.single))
            directions[scope_of(())] = (only_correct(double, single), only_correct(single, double))
        for scope, found in directions.items():
            for how, ids, limit in zip(("Right with", "Wrong with"), found, (6, 4), strict=True):
                title = f"{how} the surroundings, {'wrong' if how == 'Right with' else 'right'} without, on {scope}"
                groups.append((title, choose_ids(ids, category_of, limit, params.seed), len(ids)))
    shown = tuple(dict.fromkeys([*sheet, *(sample_id for _, ids, _ in groups for sample_id in ids)]))
    cards = {i: sample_card(found, ambiguous) for i, found in read_pictures(shown, inputs, what="samples").items()}
    examples = tuple(
        Examples(title, tuple(cards[i]._replace(predictions=paired_predictions(pairs[0], i)) for i in ids), total)
        for title, ids, total in groups
    )
    return tuple(cards[sample_id] for sample_id in sheet), examples
