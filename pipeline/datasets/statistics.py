"""Everything about a data set that only shows once all its samples have passed by."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from math import exp, log
from statistics import median

from pydantic import JsonValue

from pipeline.datasets.index import Category, Sample
from pipeline.datasets.index_summary import (
    CategoryCount,
    Duplicated,
    DuplicatePair,
    Duplicates,
    Imbalance,
    IndexSummary,
    ProblemExample,
    ProblemGroup,
    Quantiles,
    SplitSummary,
)
from pipeline.datasets.official import SPLITS
from pipeline.datasets.problems import FIXES, NOTES, Problem
from pipeline.params.stages import IndexParams
from pipeline.runtime.errors import printable

# Counters over a stream of samples, and the statistics of a split that follow from them.


DECIMALS = 6
SHARE_STEPS = 10_000
"""Shares are counted in this many steps, so that memory does not grow with the number of samples."""


@dataclass(slots=True)
class SplitStats:
    """Counts of one split; rows of a photo must be adjacent."""

    samples_by_target: Counter[int] = field(default_factory=Counter)
    """Samples by class index."""
    samples_of_photo: Counter[int] = field(default_factory=Counter)
    """Photos by their number of samples."""
    heights: Counter[int] = field(default_factory=Counter)
    """Photos by height."""
    widths: Counter[int] = field(default_factory=Counter)
    """Photos by width."""
    shares: Counter[int] = field(default_factory=Counter)
    """Masks by share of the photo, in steps."""
    components: Counter[int] = field(default_factory=Counter)
    """Masks by number of parts."""
    flags: Counter[str] = field(default_factory=Counter)
    """Samples by flag."""
    _photo_id: str = ""
    _photo_samples: int = 0

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        if sample.photo_id != self._photo_id:
            self._photo_id, self._photo_samples = sample.photo_id, 0
            self.heights[sample.photo_height] += 1
            self.widths[sample.photo_width] += 1
        self._count_for_photo()
        self.samples_by_target[sample.target] += 1
        self.flags.update(sample.flags)
        if sample.mask_area:
            self.shares[round(sample.mask_share * SHARE_STEPS)] += 1
            self.components[sample.components] += 1

    def _count_for_photo(self) -> None:
        if self._photo_samples:
            self.samples_of_photo[self._photo_samples] -= 1
        self._photo_samples += 1
        self.samples_of_photo[self._photo_samples] += 1

    def summarise(self, categories: Sequence[Category]) -> SplitSummary:
        """Return the statistics of all samples counted so far."""
        photos, samples = self.heights.total(), self.samples_by_target.total()
        counted = {category.name: self.samples_by_target[category.target] for category in categories}
        present = {name: count for name, count in counted.items() if count}
        return SplitSummary(
            photos=photos,
            samples=samples,
            photos_by_samples=dict(sorted((+self.samples_of_photo).items())),
            samples_per_photo=round(samples / max(photos, 1), DECIMALS),
            categories=len(present),
            absent=tuple(name for name, count in counted.items() if not count),
            single=sum(count == 1 for count in present.values()),
            imbalance=imbalance(present) if present else None,
            mask_share=quantiles(self.shares, steps=SHARE_STEPS),
            components=quantiles(self.components),
            photo_height=quantiles(self.heights),
            photo_width=quantiles(self.widths),
            flags=dict(sorted(self.flags.items())),
        )


def imbalance(samples: dict[str, int]) -> Imbalance:
    """Describe how unequal categories are.

    Args:
        samples: Samples by category name in target order, each at least 1; at least one category.
    """
    largest, smallest = max(samples, key=samples.__getitem__), min(samples, key=samples.__getitem__)
    total = sum(samples.values())
    entropy = -sum(count / total * log(count / total) for count in samples.values())
    return Imbalance(
        largest=largest,
        largest_samples=samples[largest],
        smallest=smallest,
        smallest_samples=samples[smallest],
        median_samples=float(median(samples.values())),
        largest_over_smallest=round(samples[largest] / samples[smallest], DECIMALS),
        majority_rate=round(samples[largest] / total, DECIMALS),
        effective_categories=round(exp(entropy), DECIMALS),
    )


def quantiles(counts: Counter[int], *, steps: int = 1) -> Quantiles | None:
    """Return the spread of a quantity; None if nothing was counted.

    Args:
        counts: How often each value occurs.
        steps: By what the values are to be divided.
    """
    if not counts:
        return None
    values = sorted(counts)
    reached = list(accumulate(counts[value] for value in values))

    def quantile(percent: int) -> float:
        rank = max(1, -(-reached[-1] * percent // 100))  # rounded up in whole numbers
        return next(value for value, count in zip(values, reached, strict=True) if count >= rank) / steps

    mean = sum(value * count for value, count in counts.items()) / reached[-1] / steps
    return Quantiles(
        minimum=quantile(0),
        p05=quantile(5),
        p25=quantile(25),
        median=quantile(50),
        p75=quantile(75),
        p95=quantile(95),
        maximum=quantile(100),
        mean=round(mean, DECIMALS),
    )


# The data set in plain sentences, for the report and for whoever opens `summary.json`.


NAMED = 10
"""Names written out before the rest is only counted."""


def data_card(
    source: Mapping[str, JsonValue] | None,
    splits: Mapping[str, SplitSummary],
    categories: Sequence[CategoryCount],
    duplicates: Duplicated,
    problems: Mapping[str, ProblemGroup],
) -> tuple[str, ...]:
    """Return one sentence a fact, in the order a reader asks for them."""
    sentences = [
        *_source(source),
        _contents(categories),
        *(sentence for split, summary in splits.items() for sentence in _split(split, summary)),
        *_unlearnable(categories),
        *_extra(categories),
        _duplicates(duplicates),
        _problems(problems),
    ]
    return tuple(sentences)


def listed(names: Sequence[str]) -> str:
    """Return names joined by commas, the first ten of many."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _source(source: Mapping[str, JsonValue] | None) -> Iterator[str]:
    if source is None:
        yield "Where the data set came from is not recorded."
        return
    known = {key: value for key, value in sorted(source.items()) if key != "name" and value is not None}
    facts = ", ".join(
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}" for key, value in known.items()
    )
    yield f"The data set came from {source.get('name') or 'an unnamed source'}" + (f" ({facts})." if facts else ".")


def _contents(categories: Sequence[CategoryCount]) -> str:
    number = _count(len(categories), "category", "categories")
    rule = "a sample is one category in one photo, and no sample is left out for its size"
    return f"It holds {number} beside the background; {rule}."


def _split(split: str, summary: SplitSummary) -> Iterator[str]:
    photos = _count(summary.photos, "usable photo", "usable photos")
    samples = _count(summary.samples, "sample", "samples")
    yield f"Split {split} has {photos} with {samples}, {summary.samples_per_photo:.1f} a photo."
    if visible := summary.samples - summary.photos:
        yield (
            f"Were extra-ROIs paired by photo, as the released code does, {visible:,} of its samples "
            f"({visible / summary.samples:.1%}) would see their own food in theirs."
        )
    if summary.imbalance:
        skew = summary.imbalance
        yield (
            f"Of its {_count(summary.categories, 'category', 'categories')}, {skew.largest} is the largest with "
            f"{_count(skew.largest_samples, 'sample', 'samples')} ({skew.majority_rate:.1%}) and {skew.smallest} the "
            f"smallest with {skew.smallest_samples:,}; the median is {skew.median_samples:g}, {summary.single} occur "
            f"once, and all together are as varied as {skew.effective_categories:.1f} equally frequent ones."
        )
    if summary.photo_width and summary.photo_height:
        width, height = summary.photo_width, summary.photo_height
        yield (
            f"Its photos are {width.minimum:g} to {width.maximum:g} pixels wide (median {width.median:g}) and "
            f"{height.minimum:g} to {height.maximum:g} high (median {height.median:g})."
        )
    if summary.mask_share and summary.components:
        share, parts = summary.mask_share, summary.components
        yield (
            f"A mask covers {share.median:.1%} of its photo in the median (5 % of them at most {share.p05:.2%}, 5 % at "
            f"least {share.p95:.1%}) and has {parts.median:g} parts in the median, {parts.maximum:g} at most."
        )
    if summary.flags:
        yield f"Flagged samples: {', '.join(f'{count:,} {flag}' for flag, count in summary.flags.items())}."


def _unlearnable(categories: Sequence[CategoryCount]) -> Iterator[str]:
    unseen = [category.name for category in categories if category.test and not category.train]
    if unseen:
        yield f"Tested but never trained on: {listed(unseen)}."
    untested = [category.name for category in categories if category.train and not category.test]
    if untested:
        yield f"Trained on but never tested: {listed(untested)}."
    empty = [category.name for category in categories if not category.train and not category.test]
    if empty:
        yield f"Without any sample: {listed(empty)}."


def _extra(categories: Sequence[CategoryCount]) -> Iterator[str]:
    extra = [f"{c.name} ({c.train:,} train, {c.test:,} test)" for c in categories if c.extra]
    if extra:
        yield f"The user's own photos add the categories {listed(extra)}."


def _duplicates(duplicates: Duplicated) -> str:
    if not duplicates.pairs:
        return "No two photos have the same bytes."
    disagreeing = _count(duplicates.disagreeing, "pair has", "pairs have")
    return (
        f"Pairs of photos with the same bytes: {duplicates.within_train} within train, {duplicates.within_test} within "
        f"test, {duplicates.across_splits} across both; {disagreeing} annotations that differ."
    )


def _problems(problems: Mapping[str, ProblemGroup]) -> str:
    kinds = [f"{group.count:,} {kind}" for kind, group in problems.items() if group.left_out]
    notes = sum(group.count for group in problems.values() if not group.left_out)
    unused = f" {_count(notes, 'file is', 'files are')} not listed and not used." if notes else ""
    return (f"Left out for problems: {', '.join(kinds)}." if kinds else "Nothing was left out for problems.") + unused


SUMMARY_VERSION = 1


@dataclass(slots=True)
class DatasetStats:
    """Counts of a data set; memory grows with photos by one hash each, and not with samples."""

    categories: tuple[Category, ...]
    """All foods, in target order."""
    named_ids: frozenset[int]
    """Ids that `category_id.txt` names; the others are the user's extra categories."""
    duplicates: Duplicates = field(default_factory=Duplicates)
    """Fed with every scanned photo, before `flagged` is called."""
    tallies: dict[str, SplitStats] = field(default_factory=lambda: {split: SplitStats() for split in SPLITS})
    """Counts by split."""

    def flagged(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Pass samples on with the flags that depend on other photos, and count them."""
        for sample in samples:
            complete = self.duplicates.flag(sample)
            self.tallies[complete.split].add(complete)
            yield complete

    def summarise(
        self, settings: IndexParams, source: Mapping[str, JsonValue] | None, problems: Iterable[Problem]
    ) -> IndexSummary:
        """Return the contents of `summary.json`.

        Args:
            settings: Section `index`.
            source: Contents of `data/raw/source.json`.
            problems: What was found wrong, sorted.
        """
        splits = {split: tally.summarise(self.categories) for split, tally in self.tallies.items()}
        counts = tuple(self._count(category) for category in self.categories)
        duplicated, groups = _duplicated(self.duplicates.pairs), _grouped(problems)
        return IndexSummary(
            schema_version=SUMMARY_VERSION,
            data_card=data_card(source, splits, counts, duplicated, groups),
            settings=settings,
            source=None if source is None else dict(source),
            splits=splits,
            categories=counts,
            only_in_train=tuple(count.name for count in counts if count.train and not count.test),
            only_in_test=tuple(count.name for count in counts if count.test and not count.train),
            duplicates=duplicated,
            problems=groups,
        )

    def _count(self, category: Category) -> CategoryCount:
        train, test = (self.tallies[split].samples_by_target[category.target] for split in SPLITS)
        return CategoryCount(
            id=category.id,
            name=category.name,
            target=category.target,
            extra=category.id not in self.named_ids,
            train=train,
            test=test,
        )


def _duplicated(pairs: Sequence[DuplicatePair]) -> Duplicated:
    within = [pair for pair in pairs if not pair.across_splits]
    return Duplicated(
        within_train=sum(pair.first.startswith("train/") for pair in within),
        within_test=sum(pair.first.startswith("test/") for pair in within),
        across_splits=len(pairs) - len(within),
        disagreeing=sum(pair.annotations_agree is False for pair in pairs),
        pairs=tuple(pairs),
    )


def _grouped(problems: Iterable[Problem]) -> dict[str, ProblemGroup]:
    groups = {kind: tuple(found) for kind, found in groupby(problems, key=lambda problem: problem.kind)}
    return {
        kind.value: ProblemGroup(
            count=len(found),
            mend=FIXES[kind],
            left_out=kind not in NOTES,
            findings=tuple(ProblemExample(file=printable(p.file), detail=printable(p.detail)) for p in found),
        )
        for kind, found in groups.items()
    }
