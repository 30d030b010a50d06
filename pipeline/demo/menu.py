"""What is on the table of every photo: eight photos in a row hold every category, and never both red sauces at once."""

from dataclasses import dataclass

import numpy as np

from pipeline.demo.categories import (
    CHILI_PASTE,
    FOODS,
    KETCHUP,
    ON_ANY_TABLE,
    SAUCE,
    WITH_CHILI_PASTE,
    WITH_KETCHUP,
    Food,
)
from pipeline.demo.fields import chance

ROUND = 8
RED_EXTRA = 0.35
"""Probability of a third food beside a red sauce."""
COMPANIONS = {KETCHUP: WITH_KETCHUP, CHILI_PASTE: WITH_CHILI_PASTE}
SPLITS = ("train", "test")


@dataclass(frozen=True, slots=True)
class Menu:
    """Foods of one photo."""

    dip: str | None
    """Category served in a dish of its own, or None."""
    foods: tuple[Food, ...]
    """Two to four different foods."""


def menu(seed: int, split: str, position: int) -> Menu:
    """Return what photo `position` of a split shows; rounds of eight photos are dealt together."""
    number, place = divmod(position, ROUND)
    rng = np.random.default_rng(np.random.SeedSequence((seed, SPLITS.index(split), number), spawn_key=(0,)))
    return _deal(rng)[place]


def _deal(rng: np.random.Generator) -> list[Menu]:
    menus = [each for dip in (KETCHUP, CHILI_PASTE) for each in _red_tables(rng, dip)] + _other_tables(rng)
    return [menus[i] for i in rng.permutation(ROUND)]


def _red_tables(rng: np.random.Generator, dip: str) -> list[Menu]:
    """Two tables with a red sauce: two of its three companions each, and perhaps a food of any table."""
    first, second, third = (COMPANIONS[dip][i] for i in rng.permutation(3))
    pairs = ((first, second), (second, third))
    return [Menu(dip, _served(rng, pair + _drawn(rng, ON_ANY_TABLE, int(chance(rng, RED_EXTRA))))) for pair in pairs]


def _other_tables(rng: np.random.Generator) -> list[Menu]:
    """Four tables with all foods of any table and some companions mixed; two of them have a sauce."""
    deck = _served(rng, ON_ANY_TABLE + _drawn(rng, WITH_KETCHUP + WITH_CHILI_PASTE, 3))
    tables = (deck[0:3], deck[3:6], deck[6:9], deck[9:12])
    return [Menu(dip, t + _another(rng, t)) for dip, t in zip((SAUCE, SAUCE, None, None), tables, strict=True)]


def _another(rng: np.random.Generator, foods: tuple[Food, ...]) -> tuple[Food, ...]:
    absent = tuple(food for food in FOODS if food not in foods)
    return _drawn(rng, absent, int(rng.integers(0, 2)))


def _drawn(rng: np.random.Generator, foods: tuple[Food, ...], count: int) -> tuple[Food, ...]:
    return tuple(foods[i] for i in rng.permutation(len(foods))[:count])


def _served(rng: np.random.Generator, foods: tuple[Food, ...]) -> tuple[Food, ...]:
    return _drawn(rng, foods, len(foods))
