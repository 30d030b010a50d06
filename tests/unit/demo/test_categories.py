"""The registry of foods and how each is painted."""

import numpy as np
import pytest

from pipeline.demo.canvas import Canvas, Light, Place, Sketch
from pipeline.demo.foods import CATEGORIES, CATEGORY_IDS, FOODS, WITH_CHILI_PASTE, WITH_KETCHUP, DemoFood, row, varied

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
