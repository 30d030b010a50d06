"""Which samples are explained."""

import dataclasses

import pytest

from pipeline.steps.explain import choose_samples
from tests.unit.reporting.study import make_sample

PAIR = ("ketchup", "chili paste")
NAMES = ("rice", "sauce", "ketchup", "chili paste")
TABLE = [
    dataclasses.replace(make_sample(name), sample_id=f"test/{number:03}/{target}", target=target)
    for number in range(20)
    for target, name in enumerate(NAMES)
]


def chosen(count: int, *, seed: int = 0, names: tuple[str, ...] = NAMES, table: list = TABLE) -> list[str]:  # type: ignore[type-arg]
    """Return the ids of the choice."""
    picked = choose_samples(table, names=names, ambiguous=tuple(n for n in PAIR if n in names), count=count, seed=seed)
    return [numbered.sample.sample_id for numbered in picked]


def test_half_of_the_choice_is_the_pair_and_comes_first() -> None:
    """Six of twelve, three of each, then the other categories evenly."""
    categories = [TABLE[next(i for i, s in enumerate(TABLE) if s.sample_id == c)].category for c in chosen(12)]
    assert categories == ["ketchup"] * 3 + ["chili paste"] * 3 + ["rice"] * 3 + ["sauce"] * 3


def test_the_choice_knows_each_samples_row() -> None:
    """Rows are those of the split's shards."""
    picked = choose_samples(TABLE, names=NAMES, ambiguous=PAIR, count=8, seed=0)
    assert [TABLE[numbered.row] for numbered in picked] == [numbered.sample for numbered in picked]


def test_a_run_without_a_category_explains_the_same_samples_of_the_others() -> None:
    """So a run without sauce can stand beside one with it."""
    with_sauce, without = chosen(12), chosen(12, names=("rice", "ketchup", "chili paste"))
    assert [i for i in with_sauce if not i.endswith("/1")] == [i for i in without if i in with_sauce]
    assert with_sauce[:6] == without[:6]


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_the_choice_is_as_long_as_asked_or_as_there_are_samples(count: int) -> None:
    """Never a sample twice."""
    ids = chosen(count)
    assert len(ids) == len(set(ids)) == min(count, len(TABLE) if count < 500 else len(ids))


def test_the_seed_decides_and_nothing_else() -> None:
    """Same seed, same samples; another seed, others."""
    assert chosen(8) == chosen(8)
    assert chosen(8) != chosen(8, seed=1)
