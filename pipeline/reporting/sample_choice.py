"""Which samples the page shows: chosen by hash, so that no order of files and no eye picks them."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from pipeline.arrays import Image, Mask
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.samples import Sample

OF_PAIR = 2
"""Samples of each ambiguous category on the contact sheet."""


class Views(NamedTuple):
    """What a model sees of one sample."""

    rect: tuple[int, int, int, int]
    """Rectangle of the photo inside the square: top, left, height, width."""
    mask: Mask
    """Letterboxed mask."""
    roi: Image
    extra_roi: Image


def rank(sample_id: str, seed: int) -> bytes:
    """Return a sample's place in a shuffled order that depends on nothing but the seed."""
    return hashlib.sha256(f"{seed}/{sample_id}".encode()).digest()


def choose_samples(samples: Iterable[Sample], ambiguous: Collection[str], count: int, seed: int) -> tuple[Sample, ...]:
    """Choose the contact sheet: the ambiguous pair first, then as many categories as possible.

    Memory is bounded by the number of categories.

    Args:
        samples: Candidates in any order.
        ambiguous: Names of the pair; two samples of each are always among the chosen.
        count: Samples in all, unless the pair needs more.
        seed: Seed of the choice.
    """
    best: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_category = [*best[sample.category], sample]
        best[sample.category] = sorted(of_category, key=lambda s: rank(s.sample_id, seed))[:OF_PAIR]
    pair = [sample for name in ambiguous for sample in best.pop(name, [])]
    firsts = sorted((of_category[0] for of_category in best.values()), key=lambda s: rank(s.sample_id, seed))
    others = sorted(firsts[: max(0, count - len(pair))], key=lambda s: s.target)
    return (*pair, *others)


def choose_ids(sample_ids: Iterable[str], category_of: Mapping[str, str], count: int, seed: int) -> tuple[str, ...]:
    """Choose up to `count` samples, taking the categories in turn.

    Args:
        sample_ids: Candidates.
        category_of: Category name by sample_id.
        count: Largest number of samples.
        seed: Seed of the choice.
    """
    queues: dict[str, list[str]] = defaultdict(list)
    for sample_id in sorted(sample_ids, key=lambda i: rank(i, seed)):
        queues[category_of[sample_id]].append(sample_id)
    turns = [(turn, name, sample_id) for name, queue in queues.items() for turn, sample_id in enumerate(queue)]
    return tuple(sample_id for _, _, sample_id in sorted(turns)[:count])


def pick_views(batches: Iterable[SampleBatch], sample_ids: Collection[str]) -> Iterator[tuple[str, Views]]:
    """Yield the pixels of the wanted samples, holding one batch at a time."""
    wanted = frozenset(sample_ids)
    for batch in batches:
        for row, sample_id in enumerate(batch.sample_ids):
            if sample_id in wanted:
                top, left, height, width = batch.rects[row].tolist()
                # Copies: a view would keep the whole batch in memory.
                yield (
                    sample_id,
                    Views(
                        (top, left, height, width),
                        batch.masks[row].copy(),
                        batch.roi[row].copy(),
                        batch.extra_roi[row].copy(),
                    ),
                )
