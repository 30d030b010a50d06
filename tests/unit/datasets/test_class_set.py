"""Classes of a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.class_set import EXCLUDED, select_classes
from pipeline.errors import ParamsError

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


def test_an_unknown_category_is_refused_with_a_close_one() -> None:
    """A typing error must not train on everything."""
    with pytest.raises(ParamsError, match=r"'ketchp' is no category.*ketchup"):
        select_classes(NAMES, ("ketchp",))


def test_a_lone_class_is_refused() -> None:
    """There would be nothing to tell apart."""
    with pytest.raises(ParamsError, match="leaves 1 classes"):
        select_classes(NAMES, NAMES[1:])
