"""Numbers as text."""

import math

from pipeline.reporting.page import chance, percent, points, score


def test_numbers_that_do_not_apply_are_dashes() -> None:
    """Never nan, None or zero."""
    assert {percent(None), percent(math.nan), score(None), score(math.nan), points(None)} == {"\N{EN DASH}"}


def test_changes_carry_a_true_sign() -> None:
    """A minus sign, not a hyphen."""
    assert (points(-0.1234), points(0.05), points(0.0)) == ("\N{MINUS SIGN}12.3", "+5.0", "+0.0")


def test_shares_are_per_cent_and_scores_are_not() -> None:
    """As the tables' heads say."""
    assert (percent(0.61076), percent(0.5, 0), score(0.44241)) == ("61.1", "50", "0.442")


def test_a_small_chance_is_not_none() -> None:
    """Softmax is never zero."""
    assert (chance(0.004), chance(0.006), chance(1.0)) == ("< 1 %", "1 %", "100 %")
