"""Everything about a data set that only shows once all its samples have passed by."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from pydantic import JsonValue

from pipeline.datasets.data_card import data_card
from pipeline.datasets.duplicates import DuplicatePair, Duplicates
from pipeline.datasets.layout import SPLITS
from pipeline.datasets.problems import MENDS, NOTES, Problem
from pipeline.datasets.samples import Category, Sample
from pipeline.datasets.summary import CategoryCount, Duplicated, Finding, ProblemGroup, Summary
from pipeline.datasets.tally import SplitTally
from pipeline.errors import printable
from pipeline.params.data import IndexParams

SUMMARY_VERSION = 1


@dataclass(slots=True)
class Census:
    """Counts of a data set; memory grows with photos by one hash each, and not with samples."""

    categories: tuple[Category, ...]
    """All foods, in target order."""
    named_ids: frozenset[int]
    """Ids that `category_id.txt` names; the others are the user's extra categories."""
    duplicates: Duplicates = field(default_factory=Duplicates)
    """Fed with every scanned photo, before `flagged` is called."""
    tallies: dict[str, SplitTally] = field(default_factory=lambda: {split: SplitTally() for split in SPLITS})
    """Counts by split."""

    def flagged(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Pass samples on with the flags that depend on other photos, and count them."""
        for sample in samples:
            complete = self.duplicates.flag(sample)
            self.tallies[complete.split].add(complete)
            yield complete

    def summarise(
        self, settings: IndexParams, source: Mapping[str, JsonValue] | None, problems: Iterable[Problem]
    ) -> Summary:
        """Return the contents of `summary.json`.

        Args:
            settings: Section `index`.
            source: Contents of `data/raw/source.json`.
            problems: What was found wrong, sorted.
        """
        splits = {split: tally.summarise(self.categories) for split, tally in self.tallies.items()}
        counts = tuple(self._count(category) for category in self.categories)
        duplicated, groups = _duplicated(self.duplicates.pairs), _grouped(problems)
        return Summary(
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
            mend=MENDS[kind],
            left_out=kind not in NOTES,
            findings=tuple(Finding(file=printable(p.file), detail=printable(p.detail)) for p in found),
        )
        for kind, found in groups.items()
    }
