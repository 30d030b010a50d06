"""The registry of foods, how each is painted, and the menus."""

from collections import Counter

import numpy as np
import pytest

from pipeline.datasets.layout import OFFICIAL_SPLITS
from pipeline.demo.canvas import Canvas, Light, Place, Sketch
from pipeline.demo.foods import (
    CATEGORIES,
    CATEGORY_IDS,
    CHILI_PASTE,
    COMPANIONS,
    FOODS,
    KETCHUP,
    ROUND,
    SAUCE,
    WITH_CHILI_PASTE,
    WITH_KETCHUP,
    DemoFood,
    Menu,
    menu,
    row,
    varied,
)

RADIUS = 50.0


def helping(food: DemoFood, seed: int) -> Sketch:
    """Return one painted helping in a place of radius 50."""
    canvas = Canvas(
        np.full((240, 240, 3), 0.5, np.float32), np.zeros((240, 240), np.uint8), Light.from_angles(0.0, 0.9), 1.0
    )
    sketch = Sketch(canvas, Place(120.0, 120.0, RADIUS))
    food.paint(sketch, np.random.default_rng(seed))
    return sketch


def test_names_are_unique_and_ids_count_from_one() -> None:
    """0 is background, so the first category is 1."""
    assert len(set(CATEGORIES)) == len(CATEGORIES) == 18
    assert list(CATEGORY_IDS.values()) == list(range(1, 19))
    assert {"sauce", "ketchup", "chili paste"} < set(CATEGORIES)


def test_no_food_goes_with_both_red_sauces() -> None:
    """Otherwise the surroundings would not tell the sauces apart."""
    assert not {food.name for food in WITH_KETCHUP} & {food.name for food in WITH_CHILI_PASTE}


@pytest.mark.parametrize("food", FOODS, ids=lambda food: food.name)
def test_a_helping_fills_a_good_part_of_its_place(food: DemoFood) -> None:
    """Every draw covers between a quarter and twice the place's disc, and is more than one flat colour."""
    for seed in range(3):
        sketch = helping(food, seed)
        share = sketch.body.sum() / (np.pi * RADIUS**2)
        assert 0.25 < share < 2
        assert sketch.albedo[sketch.body].std(axis=0).max() > 0.01


@pytest.mark.parametrize("food", FOODS, ids=lambda food: food.name)
def test_no_two_helpings_are_alike(food: DemoFood) -> None:
    """The outline of a food is drawn anew each time, and the same draw is the same helping."""
    first, again, second = (helping(food, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.ids, again.ids)
    assert (first.body != second.body).any()


def test_varied_colours_stay_colours() -> None:
    """However large the spread, channels stay within 0 and 1."""
    rng = np.random.default_rng(0)
    colours = np.array([varied(rng, (0.9, 0.5, 0.02), 1.0) for _ in range(100)])
    assert colours.min() >= 0
    assert colours.max() <= 1


def test_a_row_is_as_long_as_asked() -> None:
    """First and last of a nearly straight row lie about its length apart."""
    centres = row(np.random.default_rng(0), 6, 60.0, 0.01)
    assert np.linalg.norm(centres[-1] - centres[0]) == pytest.approx(50, rel=0.2)


def names(each: Menu) -> list[str]:
    """Return the categories of a photo."""
    return [food.name for food in each.foods] + ([each.dip] if each.dip else [])


@pytest.mark.parametrize("split", OFFICIAL_SPLITS)
@pytest.mark.parametrize("seed", range(10))
def test_every_round_holds_every_category(seed: int, split: str) -> None:
    """Small data sets too have samples of all categories in both splits."""
    served = {name for position in range(ROUND) for name in names(menu(seed, split, position))}
    assert served == set(CATEGORIES)


def test_each_red_sauce_is_on_a_quarter_of_the_tables_and_sauce_on_another() -> None:
    """The three dips are equally frequent; one dip a photo at most, by type."""
    dips = Counter(menu(0, "train", position).dip for position in range(20 * ROUND))
    assert dips[KETCHUP] == dips[CHILI_PASTE] == dips[SAUCE] == dips[None] == 40


def test_a_red_sauce_has_two_companions_and_none_of_the_other_sauce() -> None:
    """The surroundings name the sauce."""
    for position in range(20 * ROUND):
        served = menu(3, "test", position)
        if served.dip in COMPANIONS:
            other = next(dip for dip in COMPANIONS if dip != served.dip)
            assert sum(food in COMPANIONS[served.dip] for food in served.foods) == 2
            assert not any(food in COMPANIONS[other] for food in served.foods)


def test_companions_are_also_served_without_their_sauce() -> None:
    """Other tables mix the companions of both, so fries alone do not mean ketchup."""
    tables = [menu(0, "train", position) for position in range(20 * ROUND)]
    mixed = {food.name for table in tables if table.dip not in COMPANIONS for food in table.foods}
    assert {food.name for foods in COMPANIONS.values() for food in foods} <= mixed


def test_no_food_comes_twice_on_a_table() -> None:
    """Two to four different foods a photo, about 3.7 samples on average."""
    tables = [menu(1, "train", position) for position in range(40 * ROUND)]
    assert all(len(names(table)) == len(set(names(table))) for table in tables)
    assert {len(table.foods) for table in tables} == {2, 3, 4}
    assert 3.3 < sum(len(names(table)) for table in tables) / len(tables) < 4


def test_seed_split_and_position_each_change_the_menu() -> None:
    """The three together decide, and nothing else does."""
    first = [menu(0, "train", position) for position in range(ROUND)]
    assert first == [menu(0, "train", position) for position in range(ROUND)]
    for seed, split, start in ((1, "train", 0), (0, "test", 0), (0, "train", ROUND)):
        assert first != [menu(seed, split, start + position) for position in range(ROUND)]
