"""Statistics, data card and duplicates."""

from collections import Counter
from math import isclose

import pytest

from pipeline.datasets.statistics import (
    CategoryCount,
    DuplicatePair,
    DuplicateSummary,
    ProblemGroup,
    SplitStats,
    data_card,
    imbalance,
    listed,
    quantiles,
)

NO_DUPLICATES = DuplicateSummary(within_train=0, within_test=0, across_splits=0, disagreeing=0, pairs=())


def count_of(name: str, *, train: int, test: int, extra: bool = False) -> CategoryCount:
    """Return the counts of one category."""
    return CategoryCount(id=1, name=name, target=0, extra=extra, train=train, test=test)


def test_equal_categories_are_as_many_as_they_are() -> None:
    """The effective number is exact where nothing is unequal, and the first of equals is named."""
    skew = imbalance({"a": 5, "b": 5, "c": 5, "d": 5})
    assert isclose(skew.effective_categories, 4)
    assert (skew.largest, skew.smallest, skew.largest_over_smallest, skew.majority_rate) == ("a", "a", 1, 0.25)


def test_one_category_is_one() -> None:
    """No uncertainty at all."""
    assert imbalance({"a": 3}).effective_categories == 1


def test_a_rare_category_hardly_counts() -> None:
    """It lowers the effective number below the plain one."""
    skew = imbalance({"a": 99, "b": 1})
    assert 1 < skew.effective_categories < 1.1
    assert (skew.largest_over_smallest, skew.median_samples) == (99, 50)


def test_quantiles_of_nothing_are_absent() -> None:
    """A split of prompted samples has no mask shares."""
    assert quantiles(Counter()) is None


def test_quantiles_are_scaled_values_that_occur() -> None:
    """A hundred values from 1 to 100 in hundredths."""
    spread = quantiles(Counter(range(1, 101)), steps=100)
    assert spread is not None
    assert tuple(spread.model_dump().values()) == (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0, 0.505)


def test_an_empty_split_has_a_summary_without_statistics() -> None:
    """Nothing divides by zero."""
    summary = SplitStats().summarise(())
    assert (summary.photos, summary.samples, summary.imbalance, summary.mask_share) == (0, 0, None, None)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ([count_of("rice", train=0, test=2)], "Tested but never trained on: rice."),
        ([count_of("rice", train=2, test=0)], "Trained on but never tested: rice."),
        ([count_of("rice", train=0, test=0)], "Without any sample: rice."),
        (
            [count_of("ketchup", train=69, test=38, extra=True)],
            "The user's own photos add the categories ketchup (69 train, 38 test).",
        ),
    ],
)
def test_the_card_warns_of_categories(counts: list[CategoryCount], sentence: str) -> None:
    """What no model can learn, or no test can show, is said."""
    card = data_card({}, counts, NO_DUPLICATES, {})
    assert card[0].startswith("It holds 1 category beside the background;")
    assert sentence in card


def test_the_card_tells_duplicates_and_problems() -> None:
    """By number, with leakage across the splits apart."""
    pair = DuplicatePair(first="train/a", second="test/b", across_splits=True, annotations_agree=False)
    duplicates = DuplicateSummary(within_train=0, within_test=0, across_splits=1, disagreeing=1, pairs=(pair,))
    group = ProblemGroup(count=3, mend="add it", left_out=True, findings=())
    card = data_card({}, [], duplicates, {"photo_absent": group})
    assert card[-2] == (
        "Pairs of photos with the same bytes: 0 within train, 0 within test, 1 across splits; 1 pair has annotations "
        "that differ."
    )
    assert card[-1] == "Left out for problems: 3 photo_absent."


def test_long_lists_of_names_are_cut() -> None:
    """A card stays readable with hundreds of categories."""
    assert listed([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert listed(["a"]) == "a"
