"""The official release of FoodSeg103 in numbers."""

from pathlib import Path

from pipeline.datasets.foodseg103 import CATEGORIES, COUNTS, compare_with_release
from pipeline.datasets.layout import parse_category_names


def test_the_whole_release_is_called_complete() -> None:
    """With its numbers."""
    assert compare_with_release(COUNTS, CATEGORIES[1:]) == (
        "This is the official release of FoodSeg103, complete: 4,983 train and 2,135 test photos, 18,179 and 7,697 "
        "samples, 103 categories."
    )


def test_what_is_missing_or_beyond_is_told_exactly() -> None:
    """By split, photos and samples apart, and categories by name."""
    counts = {"train": (4980, 18179), "test": (2135, 7700)}
    told = compare_with_release(counts, [*CATEGORIES[2:], "ketchup"])
    assert told == (
        "This is not the official release of FoodSeg103 as a whole: train lacks 3 of 4,983 photos; test has 3 samples "
        "beyond the 7,697; without candy; beyond its categories: ketchup."
    )


def test_the_names_are_those_of_the_official_file(shared: Path) -> None:
    """By id, background included."""
    assert parse_category_names((shared / "data/category_id.txt").read_text(encoding="utf-8")) == dict(
        enumerate(CATEGORIES)
    )
