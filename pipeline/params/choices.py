"""How one file holds the values of several data sets and recipes: `{default: A, demo: B, released: C}`."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from pipeline.params.refusal import DEFAULT, refusal

Recipe: TypeAlias = Literal["sane", "released"]
"""Named sets of values. A further one is a word here and its entries in `params.yaml`."""
RECIPES: tuple[str, ...] = get_args(Recipe)


def choose(value: Any, preferred: tuple[object, ...]) -> Any:
    """Replace every mapping with a key `default` by its entry for the first name it has, or else by the default.

    The entry may be a choice itself: `{default: {default: hub, released: torchvision}, demo: none}`.

    Args:
        value: Values as `params.yaml` holds them.
        preferred: Names, the one that wins first.
    """
    if not isinstance(value, dict):
        return value
    if DEFAULT not in value:
        return {key: choose(entry, preferred) for key, entry in value.items()}
    return choose(next((value[name] for name in preferred if name in value), value[DEFAULT]), preferred)


def chosen(values: dict[str, Any]) -> Any:
    """Return the values of the file's own recipe and data set; the recipe's entry wins.

    Raises:
        KeyError: If there is no recipe or data set.
    """
    return choose(values, (values["recipe"], values["dataset"]))


def known_datasets(values: dict[str, Any]) -> tuple[str, ...]:
    """Return the data sets that `download.source` names; where it is one source for all, any name will do."""
    match values:
        case {"download": {"source": str()}, "dataset": str(label)}:
            return (label,)
        case {"download": {"source": {"default": _} as source}}:
            return tuple(name for name in source if name != DEFAULT)
    return ()


def check_choices(values: dict[str, Any], datasets: tuple[str, ...], path: Path) -> None:
    """Refuse names that mean nothing or two things, which `choose` would pass over in silence.

    Args:
        values: Content of `params.yaml`.
        datasets: Names of data sets.
        path: The file, for messages.

    Raises:
        ParamsError: If the recipe is unknown, a data set bears the name of a recipe, or a choice has an entry for
            something that is neither.
    """
    recipe = values.get("recipe")
    if recipe is not None and recipe not in RECIPES:
        raise refusal("recipe", f"recipe {recipe!r} is {among(str(recipe), RECIPES)}", path)
    if both := {DEFAULT, *RECIPES} & {*datasets, str(values.get("dataset"))}:
        problem = f"dataset {both.pop()!r} is the name of a recipe; give the data set another name"
        raise refusal("dataset", problem, path)
    valid = (*datasets, *RECIPES)
    for key, name in _named(values):
        # A lone `download.source` names no data sets to compare with, and a path is its own name.
        if len(datasets) > 1 and name not in valid and "/" not in name:
            problem = f"{key}: {name!r} is {among(name, valid)}, the data sets and recipes"
            raise refusal((*key.split("."), name), problem, path)


def _named(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield place and name of every entry of every choice, but the defaults."""
    if not isinstance(value, dict):
        return
    for name, entry in value.items():
        if DEFAULT not in value:
            yield from _named(entry, f"{key}.{name}" if key else str(name))
        else:
            if name != DEFAULT:
                yield key, str(name)
            yield from _named(entry, key)


def among(name: str, valid: tuple[str, ...]) -> str:
    """Say that a name is not one of the valid ones, and which one was perhaps meant."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f"not one of {', '.join(valid)}" + (f" (did you mean {close[0]!r}?)" if close else "")
