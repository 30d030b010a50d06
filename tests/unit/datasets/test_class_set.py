"""Classes of a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.class_set import EXCLUDED, ambiguous_pair, check_class_sets, select_classes
from pipeline.datasets.statistics import CategoryCount
from pipeline.params.model import ClassSetParams
from pipeline.runtime.errors import ParamsError

NAMES = ("bread", "sauce", "ketchup", "chili paste")


def test_without_exclusions_nothing_changes() -> None:
    """Names and indices are those of the shards."""
    chosen = select_classes(NAMES, ())
    assert chosen.names == NAMES
    assert chosen.index.tolist() == [0, 1, 2, 3]


def test_a_left_out_category_closes_the_gap() -> None:
    """Later classes move down, the category itself maps to -1."""
    chosen = select_classes(NAMES, ("sauce",))
    assert chosen.names == ("bread", "ketchup", "chili paste")
    assert chosen.index.tolist() == [0, EXCLUDED, 1, 2]


@given(st.sets(st.sampled_from(NAMES), max_size=2))
def test_every_kept_category_keeps_its_name(exclude: set[str]) -> None:
    """The new index of an old target names the same category."""
    chosen = select_classes(NAMES, tuple(sorted(exclude)))
    for old, new in enumerate(chosen.index):
        assert (new == EXCLUDED) == (NAMES[old] in exclude)
        assert new == EXCLUDED or chosen.names[new] == NAMES[old]
    assert chosen.index.dtype == np.int64


def test_positions_skip_absent_categories() -> None:
    """The ambiguous pair may be incomplete."""
    assert select_classes(NAMES, ("ketchup",)).positions(("ketchup", "chili paste")) == (2,)


def test_an_absent_category_changes_nothing() -> None:
    """A data set without sauce trains the runs without sauce on all it has; stage `index` has said so."""
    assert select_classes(NAMES, ("salt",)).names == NAMES


def test_a_lone_class_is_refused() -> None:
    """There would be nothing to tell apart."""
    with pytest.raises(ParamsError, match="leaves 1 classes"):
        select_classes(NAMES, NAMES[1:])


def counts(**test: int) -> tuple[CategoryCount, ...]:
    """Return categories with three train samples each and the given number of test samples."""
    return tuple(
        CategoryCount(id=place + 1, name=name.replace("_", " "), target=place, extra=False, train=3, test=number)
        for place, (name, number) in enumerate(test.items())
    )


def class_set(*exclude: str) -> ClassSetParams:
    """Return a class set of the paper's ambiguous pair."""
    return ClassSetParams(exclude=exclude, ambiguous=("ketchup", "chili paste"))


def test_a_data_set_that_has_everything_gets_no_remark() -> None:
    """Nothing is said of the paper's own data."""
    found = counts(bread=2, sauce=1, ketchup=1, chili_paste=1)
    assert check_class_sets({"all": class_set(), "no_sauce": class_set("sauce")}, found) == ()


def test_a_name_that_is_no_category_is_said_with_a_close_one_and_what_it_means() -> None:
    """A typing error is seen before anything is trained, and so are runs that are trained twice."""
    found = counts(bread=2, sauce=1, ketchup=1, chili_paste=1)
    unknown, equal = check_class_sets({"all": class_set(), "no_sauce": class_set("sause")}, found)
    assert "'sause'" in unknown
    assert "did you mean 'sauce'?" in unknown
    assert "'all' and 'no_sauce' are equal" in equal


@pytest.mark.parametrize(
    ("classes", "targets", "expected"),
    [((4, 2), [0, 2], (4, 2)), ((4, 2), [2, 4, 4], (4, 2)), ((4, 2), [0, 1], None), ((2,), [2], None), ((), [], None)],
)
def test_samples_have_the_pair_if_both_classes_exist_and_either_has_a_sample(
    classes: tuple[int, ...], targets: list[int], expected: tuple[int, int] | None
) -> None:
    """In the order asked for."""
    assert ambiguous_pair(classes, np.array(targets, np.int64)) == expected


def test_a_class_set_that_leaves_one_trained_category_is_refused() -> None:
    """By name, before anything is computed; a category that is only tested cannot be learned."""
    only_tested = counts(bread=2, sauce=1, salt=1)[2].model_copy(update={"train": 0})
    with pytest.raises(ParamsError, match=r"'no_sauce' leaves 1 category with.*bread"):
        check_class_sets({"no_sauce": class_set("sauce")}, (*counts(bread=2, sauce=1), only_tested))
