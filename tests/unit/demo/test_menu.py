"""What is served."""

from collections import Counter

import pytest

from pipeline.demo.foods import CATEGORIES, CHILI_PASTE, COMPANIONS, KETCHUP, ROUND, SAUCE, SPLITS, Menu, menu


def names(each: Menu) -> list[str]:
    """Return the categories of a photo."""
    return [food.name for food in each.foods] + ([each.dip] if each.dip else [])


@pytest.mark.parametrize("split", SPLITS)
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
