"""Which test samples are explained: the same for every run of a class set, chosen by hash alone."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipeline.datasets.choice import Numbered, number_rows
from pipeline.datasets.samples import Sample


def choose_explained(
    samples: Iterable[Sample], *, names: Sequence[str], ambiguous: Sequence[str], count: int, seed: int
) -> list[Numbered]:
    """Choose samples: up to half of them of the ambiguous pair, the rest over the other categories in turn.

    Memory is bounded by `count` samples a category.

    Args:
        samples: All samples of one split in the table's order, streamed.
        names: Categories to choose from.
        ambiguous: Those of them that come first.
        count: Samples in all, fewer if the split has fewer.
        seed: Seed of the choice.

    Returns:
        The pair's samples, category by category, then the others by category.
    """
    queues: dict[str, list[Numbered]] = defaultdict(list)
    for numbered in number_rows(samples):
        if numbered.sample.category in names:
            queue = queues[numbered.sample.category]
            queue.append(numbered)
            queue.sort(key=lambda n: _rank(n.sample.sample_id, seed))
            del queue[count:]
    each = -(-count // (2 * len(ambiguous))) if ambiguous else 0
    pair = [numbered for name in ambiguous for numbered in queues.pop(name, [])[:each]][:count]
    turns = sorted(
        (turn, _rank(n.sample.sample_id, seed), n.row, n) for queue in queues.values() for turn, n in enumerate(queue)
    )
    others = [numbered for *_, numbered in turns[: count - len(pair)]]
    return [*pair, *sorted(others, key=lambda n: (n.sample.target, n.row))]


def _rank(sample_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"explain/{seed}/{sample_id}".encode()).digest()
