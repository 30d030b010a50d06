"""Choose samples of the table by name, or a few at random, reading it once."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from pipeline.datasets.samples import Sample
from pipeline.errors import ParamsError


@dataclass(frozen=True, slots=True)
class Numbered:
    """A sample and its row in the shards of its split."""

    row: int
    sample: Sample


def number_rows(samples: Iterable[Sample]) -> Iterator[Numbered]:
    """Give every sample its row within its split, streaming."""
    rows: Counter[str] = Counter()
    for sample in samples:
        yield Numbered(rows[sample.split], sample)
        rows[sample.split] += 1


def choose_named(samples: Iterable[Sample], sample_ids: Sequence[str]) -> list[Numbered]:
    """Return the samples of the given ids, in their order.

    Raises:
        ParamsError: If an id is not in the table.
    """
    wanted, last = set(sample_ids), ""
    found: dict[str, Numbered] = {}
    for numbered in number_rows(samples):
        last = numbered.sample.sample_id
        if last in wanted:
            found[last] = numbered
    missing = [sample_id for sample_id in sample_ids if sample_id not in found]
    if missing:
        raise ParamsError(
            f"no sample {', '.join(missing)}; ids are <split>/<photo stem>/<category id>, for instance {last}"
        )
    return [found[sample_id] for sample_id in sample_ids]


def choose_random(
    samples: Iterable[Sample], *, split: str, category: str | None, count: int, seed: int
) -> list[Numbered]:
    """Return up to `count` samples of a split and category, the same for the same seed, in table order.

    A sample's rank depends on its id and the seed alone, so the choice needs no more memory than itself.

    Raises:
        ParamsError: If no sample fits; the message names the splits, and the categories of the split.
    """
    splits, categories = set[str](), set[str]()

    def fitting() -> Iterator[Numbered]:
        for numbered in number_rows(samples):
            sample = numbered.sample
            splits.add(sample.split)
            if sample.split == split:
                categories.add(sample.category)
                if category in {None, sample.category}:
                    yield numbered

    chosen = nsmallest(count, fitting(), key=lambda numbered: _rank(numbered.sample.sample_id, seed))
    if split not in splits:
        raise ParamsError(f"no split {split!r}; there are {', '.join(sorted(splits))}")
    if not chosen:
        raise ParamsError(f"no {category!r} in split {split!r}; there are {', '.join(sorted(categories))}")
    return sorted(chosen, key=lambda numbered: numbered.row)


def _rank(sample_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{sample_id}".encode()).digest()
