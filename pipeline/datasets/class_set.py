"""The classes of a run: all categories of the shards, or all but some (Tables 8 and 9 leave out `sauce`)."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pipeline.arrays import Targets
from pipeline.datasets.statistics import CategoryCount
from pipeline.params.model import ClassSetParams
from pipeline.runtime.errors import ParamsError, counted

EXCLUDED = -1
FEWEST = 2
"""One class leaves nothing to tell apart."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """Which classes a run has, and how the shards' targets become its own."""

    names: tuple[str, ...]
    """Category name by the run's target, the index of its logits."""
    index: Int64[np.ndarray, " K_all"]
    """The run's target by the shards' target; -1 where the category is left out."""

    def positions(self, categories: tuple[str, ...]) -> tuple[int, ...]:
        """Return the run's targets of those `categories` that it has, in their order."""
        return tuple(self.names.index(name) for name in categories if name in self.names)


def find_pair(classes: Sequence[int], targets: Targets) -> tuple[int, int] | None:
    """Return the ambiguous pair's classes where a set of samples has the pair; None where it has not.

    Args:
        classes: Those classes of the pair that there are.
        targets: Class of every sample; the set has the pair if there are both classes and a sample of either.
    """
    both = len(classes) == 2 and bool(np.isin(targets, classes).any())  # noqa: PLR2004 - a pair
    return (classes[0], classes[1]) if both else None


def select_classes(categories: tuple[str, ...], exclude: tuple[str, ...]) -> ClassMap:
    """Leave out categories; the others keep their order.

    Args:
        categories: Category name by the shards' target.
        exclude: Names to leave out; one that is no category changes nothing, and `check_class_sets` has said so.

    Raises:
        ParamsError: If fewer than two classes remain.
    """
    kept = np.array([name not in exclude for name in categories])
    if kept.sum() < FEWEST:
        raise ParamsError(f"params.yaml: class_sets: exclude leaves {kept.sum()} classes; a classifier needs two")
    names = tuple(name for name, keep in zip(categories, kept, strict=True) if keep)
    return ClassMap(names=names, index=np.where(kept, np.cumsum(kept) - 1, EXCLUDED))


def check_class_sets(class_sets: Mapping[str, ClassSetParams], categories: Sequence[CategoryCount]) -> tuple[str, ...]:
    """Say what only the data can tell about the class sets, before anything is trained on them.

    Args:
        class_sets: Class sets by name.
        categories: Every category of the data set, with its samples.

    Returns:
        One sentence a fact: names that are no category, class sets that are equal, an ambiguous pair that is
        incomplete or has no test samples.

    Raises:
        ParamsError: If a class set leaves fewer than two categories with samples to train on.
    """
    names = tuple(category.name for category in categories)
    trained = {category.name for category in categories if category.train}
    for name, class_set in class_sets.items():
        left = trained - {*class_set.exclude}
        if len(left) < FEWEST:
            raise ParamsError(
                f"class set {name!r} leaves {counted(len(left), 'category', 'categories')} with samples to train on "
                f"({', '.join(left) or 'none'}); a classifier needs two: add photos of other foods to the train "
                f"split, or take names out of class_sets.{name}.exclude in params.yaml"
            )
    return (*_unknown_names(class_sets, names), *_equal_sets(class_sets, names), *_ambiguous(class_sets, categories))


def _unknown_names(class_sets: Mapping[str, ClassSetParams], names: tuple[str, ...]) -> Iterator[str]:
    for name, class_set in class_sets.items():
        for absent in (category for category in class_set.exclude if category not in names):
            close = difflib.get_close_matches(absent, names, n=1)
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            yield f"Class set {name!r} excludes {absent!r}, which is no category of this data set{meant}."


def _equal_sets(class_sets: Mapping[str, ClassSetParams], names: tuple[str, ...]) -> Iterator[str]:
    first_with: dict[tuple[str, ...], str] = {}
    for name, class_set in class_sets.items():
        left = tuple(category for category in names if category not in class_set.exclude)
        first = first_with.setdefault(left, name)
        if first != name:
            yield f"Class sets {first!r} and {name!r} are equal here: runs of one repeat runs of the other."


def _ambiguous(class_sets: Mapping[str, ClassSetParams], categories: Sequence[CategoryCount]) -> Iterator[str]:
    tested = {category.name: category.test for category in categories}
    pair = next((class_set.ambiguous for class_set in class_sets.values()), ())
    absent = [repr(name) for name in pair if name not in tested]
    untested = [repr(name) for name in pair if tested.get(name) == 0]
    names = [category.name for category in categories]
    samples = np.array([place for place, category in enumerate(categories) if category.test], np.int64)
    found = find_pair([names.index(name) for name in pair if name in tested], samples)
    if found and untested:
        yield f"Of the ambiguous pair, {untested[0]} has no test samples: F1 of the pair speaks of the other alone."
    elif absent:
        missing = " and no ".join(absent)
        yield f"Of the ambiguous pair, this data set has no category {missing}: F1 of the pair is left out."
    elif pair and not found:
        yield f"The ambiguous pair, {' and '.join(untested)}, has no test samples: F1 of the pair is left out."
