"""`data/index/summary.json`: what the data set holds, in numbers, problems and plain sentences."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby
from math import exp, log
from statistics import median

from pydantic import Field, JsonValue

from pipeline.datasets.index import Category, Sample
from pipeline.datasets.problems import HARMLESS, Problem, ProblemKind
from pipeline.datasets.scan import ScannedPhoto
from pipeline.datasets.splits import SPLITS
from pipeline.params.base import Section, omit_default
from pipeline.params.stages import IndexParams, SampleUnit
from pipeline.runtime.errors import counted, printable

DECIMALS = 6
SHARE_STEPS = 10_000  # shares are counted in this many steps, so that memory does not grow with the number of samples
MAX_LISTED = 10  # names written out before the rest is only counted
SUMMARY_VERSION = 1


class DuplicatePair(Section):
    """Two photos of the same bytes."""

    first: str  # photo id of the first photo of these bytes
    second: str  # photo id of a later one; of n equal photos n - 1 pairs are listed, each with the first
    across_splits: bool  # whether one is in train and one in test
    annotations_agree: bool | None  # whether both annotations are equal in every pixel; null if one of them is prompts


class Quantiles(Section):
    """Spread of a quantity; quantile q is the smallest value that at least a share q does not exceed."""

    minimum: float
    p05: float  # 5 % quantile
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float
    mean: float


class CategoryCount(Section):
    """Samples of one category."""

    id: int  # value in label maps
    name: str  # folded name
    target: int  # class index
    extra: bool  # whether the user's photos brought it, not `category_id.txt`
    train: int  # samples to train on
    validation: int = 0  # samples to choose and calibrate on
    test: int  # samples to test on


class Imbalance(Section):
    """How unequal the categories that occur in a split are."""

    largest: str  # category of most samples
    largest_samples: int  # its samples
    smallest: str  # category of fewest samples, at least one; the first by id among equals
    smallest_samples: int  # its samples
    median_samples: float  # median over the categories that occur
    largest_over_smallest: float  # ratio of the two
    majority_rate: float  # share of the largest category: the accuracy of always naming it
    effective_categories: float  # exp(entropy): the number of equally frequent categories that would be as uncertain


class SplitSummary(Section):
    """One split."""

    photos: int  # usable photos
    samples: int  # pairs of photo and category
    photos_by_samples: dict[int, int]  # number of photos by their number of samples
    samples_per_photo: float  # mean
    categories: int  # categories that occur
    absent: tuple[str, ...]  # categories that do not occur, in target order
    single: int  # categories of one sample only
    imbalance: Imbalance | None  # null for a split without samples, like the quantiles below
    mask_share: Quantiles | None  # mask area over photo area, to four decimals; without prompted samples
    components: Quantiles | None  # 8-connected parts a mask; without prompted samples
    photo_height: Quantiles | None  # pixels
    photo_width: Quantiles | None  # pixels
    flags: dict[str, int]  # samples by flag


class ProblemExample(Section):
    """One finding."""

    file: str  # path below data/raw
    detail: str  # what exactly is wrong


class ProblemGroup(Section):
    """All problems of one kind."""

    count: int  # number of findings
    mend: str  # what to do about them
    left_out: bool  # whether these findings cost samples; false for mere notes
    findings: tuple[ProblemExample, ...]  # all of them, sorted by file


class DuplicateSummary(Section):
    """Photos of the same bytes."""

    within_train: int  # pairs inside train, before photos are drawn for validation: both of a pair stay together
    within_test: int  # pairs inside test
    within_validation: int = omit_default(0)  # pairs inside a data set's own validation split
    across_splits: int  # pairs of photos in different splits
    disagreeing: int  # pairs whose annotations differ
    pairs: tuple[DuplicatePair, ...]  # all of them


class IndexSummary(Section):
    """The whole file."""

    schema_version: int  # version of this layout
    data_card: tuple[str, ...]  # the data set in plain sentences
    settings: IndexParams  # section `index` of the parameters
    source: JsonValue = Field(default=None, exclude=True)  # only in earlier summaries; now in `data/source.json`
    splits: dict[str, SplitSummary]  # by `train`, `validation` where there is one, and `test`
    categories: tuple[CategoryCount, ...]  # in target order
    only_in_train: tuple[str, ...]  # categories that are trained on but never tested
    only_in_test: tuple[str, ...]  # categories that are tested but never trained on
    duplicates: DuplicateSummary  # photos of the same bytes
    problems: dict[str, ProblemGroup]  # by kind, those that occur


@dataclass(slots=True)
class DuplicateFinder:
    """Find photos of the same bytes, within a split or across, in one pass; holds one entry a photo."""

    pairs: list[DuplicatePair] = field(default_factory=list)  # pairs in the order of their later photo
    _first: dict[str, tuple[str, str, str | None]] = field(default_factory=dict)  # id, split and annotation's hash
    _splits: dict[str, set[str]] = field(default_factory=dict)

    def add(self, photo: ScannedPhoto) -> None:
        """Add the next photo."""
        sample, annotation = photo.samples[0], photo.annotation_sha256
        new = (sample.photo_id, sample.split, annotation)
        first, split, other = known = self._first.setdefault(sample.photo_sha256, new)
        if known is new:
            return
        agree = None if None in {annotation, other} else annotation == other
        across = split != sample.split
        pair = DuplicatePair(first=first, second=sample.photo_id, across_splits=across, annotations_agree=agree)
        self.pairs.append(pair)
        self._splits.setdefault(sample.photo_sha256, {split}).add(sample.split)

    def flag(self, sample: Sample) -> Sample:
        """Return `sample` with flags `duplicate_photo` and `duplicate_across_splits`, once all photos are added."""
        splits = self._splits.get(sample.photo_sha256, set())
        names = ("duplicate_photo",) * bool(splits) + ("duplicate_across_splits",) * (len(splits) > 1)
        return replace(sample, flags=sample.flags + names)

    def summarise(self) -> DuplicateSummary:
        """Return the pairs found so far and their numbers."""
        within = [pair for pair in self.pairs if not pair.across_splits]
        return DuplicateSummary(
            within_train=sum(pair.first.startswith("train/") for pair in within),
            within_test=sum(pair.first.startswith("test/") for pair in within),
            within_validation=sum(pair.first.startswith("validation/") for pair in within),
            across_splits=len(self.pairs) - len(within),
            disagreeing=sum(pair.annotations_agree is False for pair in self.pairs),
            pairs=tuple(self.pairs),
        )


@dataclass(slots=True)
class SplitStats:
    """Counts of one split; the samples of a photo must be adjacent."""

    samples_by_target: Counter[int] = field(default_factory=Counter)  # samples by class index
    samples_of_photo: Counter[int] = field(default_factory=Counter)  # photos by their number of samples
    heights: Counter[int] = field(default_factory=Counter)  # photos by height
    widths: Counter[int] = field(default_factory=Counter)  # photos by width
    shares: Counter[int] = field(default_factory=Counter)  # masks by share of the photo, in steps
    components: Counter[int] = field(default_factory=Counter)  # masks by number of connected parts
    flags: Counter[str] = field(default_factory=Counter)  # samples by flag
    _photo_id: str = ""
    _photo_samples: int = 0

    def add(self, sample: Sample) -> None:
        """Count one sample."""
        if sample.photo_id != self._photo_id:
            self._photo_id, self._photo_samples = sample.photo_id, 0
            self.heights[sample.photo_height] += 1
            self.widths[sample.photo_width] += 1
        if self._photo_samples:
            self.samples_of_photo[self._photo_samples] -= 1
        self._photo_samples += 1
        self.samples_of_photo[self._photo_samples] += 1
        self.samples_by_target[sample.target] += 1
        self.flags.update(sample.flags)
        if sample.mask_area:
            self.shares[round(sample.mask_share * SHARE_STEPS)] += 1
            self.components[sample.components] += 1

    def summarise(self, categories: Sequence[Category]) -> SplitSummary:
        """Return the statistics of all samples counted so far."""
        photos, samples = self.heights.total(), self.samples_by_target.total()
        counts = {category.name: self.samples_by_target[category.target] for category in categories}
        present = {name: count for name, count in counts.items() if count}
        return SplitSummary(
            photos=photos,
            samples=samples,
            photos_by_samples=dict(sorted((+self.samples_of_photo).items())),
            samples_per_photo=round(samples / max(photos, 1), DECIMALS),
            categories=len(present),
            absent=tuple(name for name, count in counts.items() if not count),
            single=sum(count == 1 for count in present.values()),
            imbalance=imbalance(present) if present else None,
            mask_share=quantiles(self.shares, steps=SHARE_STEPS),
            components=quantiles(self.components),
            photo_height=quantiles(self.heights),
            photo_width=quantiles(self.widths),
            flags=dict(sorted(self.flags.items())),
        )


def imbalance(samples: dict[str, int]) -> Imbalance:
    """Describe how unequal categories are, of which each has a sample; `samples` are by name in target order."""
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
    """Return the spread of a quantity by how often each value occurs, a number of `steps`; None if none was counted."""
    if not counts:
        return None
    values = sorted(counts)
    reached = list(accumulate(counts[value] for value in values))

    def quantile(percent: int) -> float:
        rank = max(1, -(-reached[-1] * percent // 100))  # rounded up in whole numbers
        return next(value for value, count in zip(values, reached, strict=True) if count >= rank) / steps

    mean = sum(value * count for value, count in counts.items()) / reached[-1] / steps
    percents = {"minimum": 0, "p05": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "maximum": 100}
    return Quantiles(**{name: quantile(percent) for name, percent in percents.items()}, mean=round(mean, DECIMALS))


@dataclass(slots=True)
class DatasetStats:
    """Statistics of a data set; memory grows by one hash a photo, and not with samples."""

    categories: tuple[Category, ...]  # all foods, in target order
    named_ids: frozenset[int]  # ids that `category_id.txt` names; the others are the user's extra categories
    duplicates: DuplicateFinder = field(default_factory=DuplicateFinder)  # of every scanned photo, before `add_flags`
    splits: dict[str, SplitStats] = field(default_factory=lambda: {split: SplitStats() for split in SPLITS})

    def add_flags(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Yield samples with the flags that depend on other photos, and count them."""
        for sample in samples:
            flagged = self.duplicates.flag(sample)
            self.splits[flagged.split].add(flagged)
            yield flagged

    def summarise(self, settings: IndexParams, problems: Iterable[Problem]) -> IndexSummary:
        """Return the contents of `summary.json`; `settings` are section `index`, problems are sorted."""
        splits = {
            split: stats.summarise(self.categories)
            for split, stats in self.splits.items()
            if split != "validation" or stats.samples_by_target
        }
        counts = tuple(
            CategoryCount(
                id=category.id,
                name=category.name,
                target=category.target,
                extra=category.id not in self.named_ids,
                **{split: stats.samples_by_target[category.target] for split, stats in self.splits.items()},
            )
            for category in self.categories
        )
        groups: dict[str, ProblemGroup] = {}
        for kind, group in groupby(problems, key=lambda problem: problem.kind):
            found = tuple(ProblemExample(file=printable(p.file), detail=printable(p.detail)) for p in group)
            groups[kind.value] = ProblemGroup(
                count=len(found), mend=kind.fix, left_out=kind not in HARMLESS, findings=found
            )
        duplicates = self.duplicates.summarise()
        return IndexSummary(
            schema_version=SUMMARY_VERSION,
            data_card=data_card(splits, counts, duplicates, groups, unit=settings.unit),
            settings=settings,
            splits=splits,
            categories=counts,
            only_in_train=tuple(count.name for count in counts if count.train and not count.test),
            only_in_test=tuple(count.name for count in counts if count.test and not count.train),
            duplicates=duplicates,
            problems=groups,
        )


def data_card(
    splits: Mapping[str, SplitSummary],
    categories: Sequence[CategoryCount],
    duplicates: DuplicateSummary,
    problems: Mapping[str, ProblemGroup],
    *,
    unit: SampleUnit = "category",
) -> tuple[str, ...]:
    """Return the data set in plain sentences, one a fact, for the report and readers of `summary.json`."""
    number = counted(len(categories), "category", "categories")
    what = "one category in one photo" if unit == "category" else "one object in one photo"
    unusual = {
        "Tested but never trained on": [each.name for each in categories if each.test and not each.train],
        "Trained on but never tested": [each.name for each in categories if each.train and not each.test],
        "Without any sample": [each.name for each in categories if not (each.train or each.validation or each.test)],
    }
    extra = []
    for each in categories:
        if each.extra:
            validation = f"{each.validation:,} validation, " if each.validation else ""
            extra.append(f"{each.name} ({each.train:,} train, {validation}{each.test:,} test)")
    return (
        f"It holds {number} beside the background; a sample is {what}, and no sample is left out for its size.",
        *(sentence for split, summary in splits.items() for sentence in _split_sentences(split, summary)),
        *(f"{what}: {listed(names)}." for what, names in unusual.items() if names),
        *([f"The user's own photos add the categories {listed(extra)}."] if extra else ()),
        *_problem_sentences(duplicates, problems),
    )


def listed(names: Sequence[str]) -> str:
    """Return names joined by commas, the first ten of many."""
    rest = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _split_sentences(split: str, summary: SplitSummary) -> Iterator[str]:
    photos = counted(summary.photos, "usable photo")
    samples = counted(summary.samples, "sample")
    yield f"Split {split} has {photos} with {samples}, {summary.samples_per_photo:.1f} a photo."
    if visible := summary.samples - summary.photos:
        yield (
            f"Were extra-ROIs paired by photo, as the released code does, {visible:,} of its samples "
            f"({visible / summary.samples:.1%}) would see their own food in theirs."
        )
    if shares := summary.imbalance:
        yield (
            f"Of its {counted(summary.categories, 'category', 'categories')}, {shares.largest} is the largest with "
            f"{counted(shares.largest_samples, 'sample')} ({shares.majority_rate:.1%}) and {shares.smallest} the "
            f"smallest with {shares.smallest_samples:,}; the median is {shares.median_samples:g}, {summary.single} "
            f"occur once, and all together are as varied as {shares.effective_categories:.1f} equally frequent ones."
        )
    if (width := summary.photo_width) and (height := summary.photo_height):
        yield (
            f"Its photos are {width.minimum:g} to {width.maximum:g} pixels wide (median {width.median:g}) and "
            f"{height.minimum:g} to {height.maximum:g} high (median {height.median:g})."
        )
    if (share := summary.mask_share) and (parts := summary.components):
        yield (
            f"A mask covers {share.median:.1%} of its photo in the median (5 % of them at most {share.p05:.2%}, 5 % at "
            f"least {share.p95:.1%}) and has {parts.median:g} parts in the median, {parts.maximum:g} at most."
        )
    if summary.flags:
        yield f"Flagged samples: {', '.join(f'{count:,} {flag}' for flag, count in summary.flags.items())}."


def _problem_sentences(duplicates: DuplicateSummary, problems: Mapping[str, ProblemGroup]) -> Iterator[str]:
    if duplicates.pairs:
        disagreeing = counted(duplicates.disagreeing, "pair has", "pairs have")
        own = f"{duplicates.within_validation} within validation, " if duplicates.within_validation else ""
        yield (
            f"Pairs of photos with the same bytes: {duplicates.within_train} within train, {own}"
            f"{duplicates.within_test} within test, {duplicates.across_splits} across splits; "
            f"{disagreeing} annotations that differ."
        )
    else:
        yield "No two photos have the same bytes."
    kinds = [f"{group.count:,} {kind}" for kind, group in problems.items() if group.left_out]
    yield (f"Left out for problems: {', '.join(kinds)}." if kinds else "Nothing was left out for problems.") + (
        f" {counted(group.count, 'file is', 'files are')} not listed and not used."
        if (group := problems.get(ProblemKind.NOT_LISTED))
        else ""
    )
    if group := problems.get(ProblemKind.EXIF_IGNORED):
        masks = counted(group.count, "annotation was drawn on its photo", "annotations were drawn on their photos")
        yield f"{masks} as stored, without the EXIF rotation, and turned along with it."
