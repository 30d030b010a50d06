"""The ambiguous pair: two categories that look alike, so that their surroundings may tell them apart.

It is given, or found as the two categories that a reference run on the ROI alone confuses most in the validation split.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pipeline.datasets.statistics import CategoryCount
from pipeline.evaluation.bootstrap import wilson_interval
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import Section, read_record

MIN_CONFUSIONS = 3  # fewer samples of two categories taken for each other are no pair


class AmbiguousPair(Section):
    """`data/ambiguous.json`."""

    names: tuple[str, ...]  # two categories, or none
    chosen: Literal["given", "auto"]  # by `params.yaml`, or by the reference run
    basis: str  # one sentence: how the pair was chosen, or why there is none
    notes: tuple[str, ...] = ()  # what the data set lacks of a pair


def pair_names(path: Path | None, given: Sequence[str]) -> tuple[str, ...]:
    """Return the names of `data/ambiguous.json`; without such a file those `given` by a run of an earlier version.

    Raises:
        ManifestError: If the file is absent or damaged.
    """
    return tuple(given) if path is None else read_record(AmbiguousPair, path, "ambiguous").names


class MutualConfusion(NamedTuple):
    """Two categories that a run takes for each other."""

    names: tuple[str, str]  # in the order of the run's classes
    confused: int  # samples of either that are taken for the other
    samples: int  # samples of both


def most_confused(table: PredictionTable) -> MutualConfusion | None:
    """Return the two categories that are surely taken for each other most.

    Pairs are ranked by the lower end of Wilson's 95 % interval of the share of samples taken for the other one, so that
    a large share of few samples does not win by chance; only pairs with at least 3 such samples count. Among equals the
    pair whose categories come first wins.
    """
    classes = len(table.class_names)
    cells = np.bincount(table.targets * classes + table.predictions, minlength=classes**2).reshape(classes, classes)
    mutual, support = np.triu(cells + cells.T, k=1), cells.sum(axis=1)
    found = [
        MutualConfusion((table.class_names[a], table.class_names[b]), int(mutual[a, b]), int(support[a] + support[b]))
        for a, b in np.argwhere(mutual >= MIN_CONFUSIONS).tolist()
    ]
    # `max` returns the first of equals
    return max(found, key=lambda pair: wilson_interval(pair.confused, pair.samples).low, default=None)


def choose_pair(table: PredictionTable | None, run: str) -> AmbiguousPair:
    """Choose the pair by the predictions of run `run` on the validation split; None where it has no samples."""
    found = None if table is None else most_confused(table)
    if found is not None:
        basis = (
            f"{' and '.join(found.names)} are the two categories that run {run} confuses most in the validation split: "
            f"{found.confused} of their {found.samples} samples are taken for the other, the largest share by the "
            "lower end of its 95 % interval"
        )
        return AmbiguousPair(names=found.names, chosen="auto", basis=basis)
    reason = "the validation split is empty"
    if table is not None:
        reason = f"run {run} takes fewer than {MIN_CONFUSIONS} samples of any two categories for each other there"
    return AmbiguousPair(names=(), chosen="auto", basis=f"no pair was found in the validation split: {reason}")


def check_pair(pair: Sequence[str], categories: Sequence[CategoryCount]) -> Iterator[str]:
    """Yield one sentence where the data set lacks a category of the pair, or test samples of it."""
    tested = {category.name: category.test for category in categories}
    absent = [repr(name) for name in pair if name not in tested]
    untested = [repr(name) for name in pair if tested.get(name) == 0]
    if absent:
        missing = " and no ".join(absent)
        yield f"Of the ambiguous pair, this data set has no category {missing}: F1 of the pair is left out."
    elif len(untested) == 1:
        yield f"Of the ambiguous pair, {untested[0]} has no test samples: F1 of the pair speaks of the other alone."
    elif untested:
        yield f"The ambiguous pair, {' and '.join(untested)}, has no test samples: F1 of the pair is left out."
