"""The classes of a run: all categories of the shards, or all but some (Tables 8 and 9 leave out `sauce`)."""

import difflib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pipeline.errors import ParamsError

EXCLUDED = -1


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


def select_classes(categories: tuple[str, ...], exclude: tuple[str, ...]) -> ClassMap:
    """Leave out categories; the others keep their order.

    Args:
        categories: Category name by the shards' target.
        exclude: Names to leave out.

    Raises:
        ParamsError: If a name is not among the categories, or fewer than two classes remain.
    """
    for name in exclude:
        if name not in categories:
            close = difflib.get_close_matches(name, categories, n=3) or categories[:3]
            raise ParamsError(f"params.yaml: class_sets: exclude: {name!r} is no category; for instance {list(close)}")
    kept = np.array([name not in exclude for name in categories])
    if kept.sum() < 2:  # noqa: PLR2004 - one class leaves nothing to tell apart
        raise ParamsError(f"params.yaml: class_sets: exclude leaves {kept.sum()} classes; a classifier needs two")
    names = tuple(name for name, keep in zip(categories, kept, strict=True) if keep)
    return ClassMap(names=names, index=np.where(kept, np.cumsum(kept) - 1, EXCLUDED))
