"""The samples a page shows, with their photos, masks and cut-outs, and what two runs say about some of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.datasets.index import Sample, read_samples
from pipeline.datasets.photos import read_photo_of
from pipeline.datasets.shards import Shards
from pipeline.params.stages import ReportParams
from pipeline.reporting.headline import Finding, PairedRuns, answers_of, category_of
from pipeline.reporting.page import Examples
from pipeline.reporting.samples import SampleCard, SampleViews, choose_ids, choose_samples, pick_views, sample_card
from pipeline.runtime.console import progress

SPLIT = "test"
GAINED, LOST = 6, 4
"""Examples shown of samples that the second branch wins, and of those it loses."""


class Photos(NamedTuple):
    """Where the pictures of a sample come from."""

    table: Path
    """`samples.parquet`."""
    raw: Path
    """Photos."""
    shards: Shards
    """Masks and cut-outs."""
    ambiguous: tuple[str, ...]
    """Names of the ambiguous pair."""


def show_samples(
    params: ReportParams, finding: Finding, duels: Sequence[PairedRuns], photos: Photos
) -> tuple[tuple[SampleCard, ...], tuple[Examples, ...]]:
    """Return the contact sheet, and the examples of both directions of the first comparison.

    Args:
        params: How many samples, and the seed of the choice.
        finding: Comparisons.
        duels: Predictions behind them; none where no backbone was trained both ways.
        photos: Where the pictures come from.
    """
    chosen = choose_samples(_test_samples(photos.table), photos.ambiguous, params.samples, params.seed)
    sheet = [sample.sample_id for sample in chosen]
    shown = {title: ids for title, (ids, _) in _sides(params, finding, duels).items()}
    wanted = frozenset(sheet).union(*shown.values())
    samples = {sample.sample_id: sample for sample in _test_samples(photos.table) if sample.sample_id in wanted}
    cards = dict(_cards(samples, photos))
    examples = tuple(
        Examples(title, tuple(cards[i]._replace(answers=answers_of(duels[0], i)) for i in ids), total)
        for title, (ids, total) in _sides(params, finding, duels).items()
    )
    return tuple(cards[sample_id] for sample_id in sheet), examples


def _sides(
    params: ReportParams, finding: Finding, duels: Sequence[PairedRuns]
) -> dict[str, tuple[tuple[str, ...], int]]:
    """Return the samples to show, and how many there are, by what they are examples of."""
    if not duels:
        return {}
    first, categories = finding.comparisons[0], category_of(duels[0])
    sides = {
        "Right with the surroundings, wrong without": (first.only_double, GAINED),
        "Wrong with the surroundings, right without": (first.only_single, LOST),
    }
    return {
        title: (tuple(choose_ids(ids, categories, limit, params.seed)), len(ids))
        for title, (ids, limit) in sides.items()
    }


def _test_samples(table: Path) -> Iterator[Sample]:
    return (sample for sample in read_samples(table) if sample.split == SPLIT)


def _cards(samples: Mapping[str, Sample], photos: Photos) -> Iterator[tuple[str, SampleCard]]:
    views: Iterable[tuple[str, SampleViews]] = pick_views(photos.shards.batches(SPLIT), samples)
    for sample_id, seen in progress(views, total=len(samples), what="samples", unit="sample"):
        sample = samples[sample_id]
        yield sample_id, sample_card(sample, read_photo_of(sample, photos.raw), seen, photos.ambiguous)
