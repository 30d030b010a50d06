"""Classes of a run: all categories of the shards, or all but some (Tables 8 and 9 exclude `sauce`)."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pipeline.arrays import Targets
from pipeline.datasets.statistics import CategoryCount
from pipeline.params.model import ClassSetParams
from pipeline.runtime.errors import ParamsError, counted

EXCLUDED = -1
MIN_CLASSES = 2


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """Classes of a run, and the mapping from the shards' targets to its own."""

    names: tuple[str, ...]  # category name by the run's target, the index of its logits
    index: Int64[np.ndarray, " K_all"]  # the run's target by the shards' target; -1 if the category is excluded

    def positions(self, categories: tuple[str, ...]) -> tuple[int, ...]:
        """Return the run's targets of those `categories` that it has, in the given order."""
        return tuple(self.names.index(name) for name in categories if name in self.names)


def ambiguous_pair(classes: Sequence[int], targets: Targets) -> tuple[int, int] | None:
    """Return those `classes` of the ambiguous pair that exist, if both do and a sample is of either, else None."""
    both = len(classes) == 2 and bool(np.isin(targets, classes).any())  # noqa: PLR2004 - a pair
    return (classes[0], classes[1]) if both else None


def select_classes(categories: tuple[str, ...], exclude: tuple[str, ...]) -> ClassMap:
    """Exclude categories; the others keep their order.

    Args:
        categories: Category name by the shards' target.
        exclude: Names to exclude; one that is no category has no effect, see `check_class_sets`.

    Raises:
        ParamsError: If fewer than two classes remain.
    """
    kept = np.array([name not in exclude for name in categories])
    if kept.sum() < MIN_CLASSES:
        raise ParamsError(f"params.yaml: class_sets: exclude leaves {kept.sum()} classes; a classifier needs two")
    names = tuple(name for name, keep in zip(categories, kept, strict=True) if keep)
    return ClassMap(names=names, index=np.where(kept, np.cumsum(kept) - 1, EXCLUDED))


def check_class_sets(class_sets: Mapping[str, ClassSetParams], categories: Sequence[CategoryCount]) -> tuple[str, ...]:
    """Check the class sets against all categories of the data set, before anything is trained on them.

    Returns:
        One sentence for each name that is no category, and for class sets that are equal.

    Raises:
        ParamsError: If a class set leaves fewer than two categories with samples to train on.
    """
    names = tuple(category.name for category in categories)
    trained = {category.name for category in categories if category.train}
    unknown, equal, first_with = list[str](), list[str](), dict[tuple[str, ...], str]()
    for name, class_set in class_sets.items():
        left = trained - {*class_set.exclude}
        if len(left) < MIN_CLASSES:
            raise ParamsError(
                f"class set {name!r} leaves {counted(len(left), 'category', 'categories')} with samples to train on "
                f"({', '.join(left) or 'none'}); a classifier needs two: add photos of other foods to the train "
                f"split, or take names out of class_sets.{name}.exclude in params.yaml"
            )
        for category in class_set.exclude:
            if category not in names:
                close = difflib.get_close_matches(category, names, n=1)
                meant = f" (did you mean {close[0]!r}?)" if close else ""
                unknown.append(
                    f"Class set {name!r} excludes {category!r}, which is no category of this data set{meant}."
                )
        first = first_with.setdefault(tuple(each for each in names if each not in class_set.exclude), name)
        if first != name:
            equal.append(f"Class sets {first!r} and {name!r} are equal here: runs of one repeat runs of the other.")
    return (*unknown, *equal)
