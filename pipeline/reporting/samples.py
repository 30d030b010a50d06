"""One sample as pictures with a caption: the photo, where the food is, and what each branch sees."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.arrays import Image, Logits, Mask
from pipeline.datasets.index import Sample
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.reporting.pictures import Picture, fit_mask, highlight, picture, shrink

# Which samples the page shows: chosen by hash, so that no order of files and no eye picks them.


OF_PAIR = 2
"""Samples of each ambiguous category on the contact sheet."""


class SampleViews(NamedTuple):
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


def pick_views(batches: Iterable[SampleBatch], sample_ids: Collection[str]) -> Iterator[tuple[str, SampleViews]]:
    """Yield the pixels of the wanted samples, holding one batch at a time."""
    wanted = frozenset(sample_ids)
    for batch in batches:
        for row, sample_id in enumerate(batch.sample_ids):
            if sample_id in wanted:
                top, left, height, width = batch.rects[row].tolist()
                # Copies: a view would keep the whole batch in memory.
                yield (
                    sample_id,
                    SampleViews(
                        (top, left, height, width),
                        batch.masks[row].copy(),
                        batch.roi[row].copy(),
                        batch.extra_roi[row].copy(),
                    ),
                )


LONGEST = 300
"""Pixels of a photo on the page."""
TOP = 3
"""Guesses listed a run."""


class RankedClass(NamedTuple):
    """One of a run's answers."""

    category: str
    probability: float
    """Softmax, in [0, 1]."""


class RunAnswer(NamedTuple):
    """What one run says about a sample."""

    run: str
    """Label of the run."""
    right: bool
    guesses: tuple[RankedClass, ...]
    """Most probable first."""


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
    answers: tuple[RunAnswer, ...]
    """Answers of the compared runs; none on the contact sheet."""


def sample_card(
    sample: Sample, photo: Image, views: SampleViews, ambiguous: Sequence[str], answers: Sequence[RunAnswer] = ()
) -> SampleCard:
    """Put one sample's pictures together.

    Args:
        sample: Row of the sample table.
        photo: Whole photo.
        views: Its cut-outs.
        ambiguous: Names of the ambiguous pair.
        answers: What runs say about it.
    """
    small = shrink(photo, LONGEST)
    mask = fit_mask(views.mask, views.rect, small.shape[:2])
    pictures = (
        ("photo", picture(small, f"Photo {sample.photo_id}")),
        ("mask", picture(highlight(small, mask), f"The same photo, everything but the {sample.category} dimmed")),
        ("ROI", picture(views.roi, f"The {sample.category} alone on black, as the ROI branch sees it")),
        (
            "extra-ROI",
            picture(views.extra_roi, f"The photo without the {sample.category}, as the other branch sees it"),
        ),
    )
    share = float(views.mask.sum()) / (views.rect[2] * views.rect[3])
    return SampleCard(sample.sample_id, sample.category, sample.category in ambiguous, share, pictures, tuple(answers))


def answer(run: str, target: int, logits: Logits, class_names: Sequence[str]) -> RunAnswer:
    """Return the most probable categories of one sample.

    Args:
        run: Label of the run.
        target: True class.
        logits: Scores of the sample, a single row, divided by the run's temperature.
        class_names: Category by class.
    """
    odds = np.exp(logits[0].astype(np.float64) - logits.max())
    order = np.argsort(-odds, kind="stable")[:TOP]
    guesses = tuple(RankedClass(class_names[k], float(odds[k] / odds.sum())) for k in order)
    return RunAnswer(run, int(order[0]) == target, guesses)
