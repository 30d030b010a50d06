"""`data/index/summary.json`: what the data set holds, in numbers, problems and plain sentences."""

from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from pipeline.datasets.index import Sample
from pipeline.datasets.scan import ScannedPhoto
from pipeline.params.base import Section
from pipeline.params.stages import IndexParams

# Photos with the same bytes, within a split or across: test photos must not be trained on unnoticed.


class DuplicatePair(Section):
    """Two photos of the same bytes."""

    first: str
    """Photo id of the first photo of these bytes."""
    second: str
    """Photo id of a later one; of n equal photos n - 1 pairs are listed, each with the first."""
    across_splits: bool
    """Whether one is in train and one in test."""
    annotations_agree: bool | None
    """Whether both annotations say the same of every pixel; null where prompts stand in for one."""


@dataclass(frozen=True, slots=True)
class _FirstPhoto:
    photo_id: str
    split: str
    annotation_sha256: str | None


@dataclass(slots=True)
class Duplicates:
    """Finds equal photos while all photos pass by once; holds one entry a photo."""

    pairs: list[DuplicatePair] = field(default_factory=list)
    """Pairs in the order of their later photo."""
    _first: dict[str, _FirstPhoto] = field(default_factory=dict)
    _splits: dict[str, set[str]] = field(default_factory=dict)

    def add(self, photo: ScannedPhoto) -> None:
        """Note the next photo."""
        sample = photo.samples[0]
        seen = _FirstPhoto(sample.photo_id, sample.split, photo.annotation_sha256)
        first = self._first.setdefault(sample.photo_sha256, seen)
        if first is not seen:
            self.pairs.append(_pair(first, seen))
            self._splits.setdefault(sample.photo_sha256, {first.split}).add(seen.split)

    def flag(self, sample: Sample) -> Sample:
        """Return `sample` with flags `duplicate_photo` and `duplicate_across_splits`, once all photos are noted."""
        splits = self._splits.get(sample.photo_sha256, set())
        names = ("duplicate_photo",) * bool(splits) + ("duplicate_across_splits",) * (len(splits) > 1)
        return replace(sample, flags=sample.flags + names)


def _pair(first: _FirstPhoto, second: _FirstPhoto) -> DuplicatePair:
    hashes = (first.annotation_sha256, second.annotation_sha256)
    return DuplicatePair(
        first=first.photo_id,
        second=second.photo_id,
        across_splits=first.split != second.split,
        annotations_agree=None if None in hashes else hashes[0] == hashes[1],
    )


class Quantiles(Section):
    """Spread of a quantity; quantile q is the smallest value that at least a share q does not exceed."""

    minimum: float
    """Smallest value."""
    p05: float
    """5 % quantile."""
    p25: float
    """25 % quantile."""
    median: float
    """50 % quantile."""
    p75: float
    """75 % quantile."""
    p95: float
    """95 % quantile."""
    maximum: float
    """Largest value."""
    mean: float
    """Arithmetic mean."""


class CategoryCount(Section):
    """Samples of one category."""

    id: int
    """Value in label maps."""
    name: str
    """Folded name."""
    target: int
    """Class index."""
    extra: bool
    """Whether the user's photos brought it, not `category_id.txt`."""
    train: int
    """Samples to train on."""
    test: int
    """Samples to test on."""


class Imbalance(Section):
    """How unequal the categories that occur in a split are."""

    largest: str
    """Category of most samples."""
    largest_samples: int
    """Its samples."""
    smallest: str
    """Category of fewest samples, at least one; the first by id among equals."""
    smallest_samples: int
    """Its samples."""
    median_samples: float
    """Median over the categories that occur."""
    largest_over_smallest: float
    """Ratio of the two."""
    majority_rate: float
    """Share of the largest category: the accuracy of always naming it."""
    effective_categories: float
    """exp(entropy): the number of equally frequent categories that would be as uncertain."""


class SplitSummary(Section):
    """One split."""

    photos: int
    """Usable photos."""
    samples: int
    """Pairs of photo and category."""
    photos_by_samples: dict[int, int]
    """Number of photos by their number of samples."""
    samples_per_photo: float
    """Mean."""
    categories: int
    """Categories that occur."""
    absent: tuple[str, ...]
    """Categories that do not occur, in target order."""
    single: int
    """Categories of one sample only."""
    imbalance: Imbalance | None
    """Null for a split without samples, like the quantiles below."""
    mask_share: Quantiles | None
    """Mask area over photo area, to four decimals; without prompted samples."""
    components: Quantiles | None
    """8-connected parts a mask; without prompted samples."""
    photo_height: Quantiles | None
    """Pixels."""
    photo_width: Quantiles | None
    """Pixels."""
    flags: dict[str, int]
    """Samples by flag."""


class ProblemExample(Section):
    """One problem."""

    file: str
    """Path below data/raw."""
    detail: str
    """What exactly is wrong."""


class ProblemGroup(Section):
    """All problems of one kind."""

    count: int
    """Number of findings."""
    mend: str
    """What to do about them."""
    left_out: bool
    """Whether these findings cost samples; false for mere notes."""
    findings: tuple[ProblemExample, ...]
    """All of them, sorted by file."""


class Duplicated(Section):
    """Photos of the same bytes."""

    within_train: int
    """Pairs inside train."""
    within_test: int
    """Pairs inside test."""
    across_splits: int
    """Pairs with one photo in each split: test photos that are trained on."""
    disagreeing: int
    """Pairs whose annotations differ."""
    pairs: tuple[DuplicatePair, ...]
    """All of them."""


class IndexSummary(Section):
    """The whole file."""

    schema_version: int
    """Version of this layout."""
    data_card: tuple[str, ...]
    """The data set in plain sentences."""
    settings: IndexParams
    """Section `index` of the parameters."""
    source: dict[str, JsonValue] | None
    """What `data/raw/source.json` says of the archive; null where there is none."""
    splits: dict[str, SplitSummary]
    """By `train` and `test`."""
    categories: tuple[CategoryCount, ...]
    """In target order."""
    only_in_train: tuple[str, ...]
    """Categories that are trained on but never tested."""
    only_in_test: tuple[str, ...]
    """Categories that no model can learn here."""
    duplicates: Duplicated
    """Photos of the same bytes."""
    problems: dict[str, ProblemGroup]
    """By kind, those that occur."""
