"""Choosing samples to show."""

import pytest

from pipeline.datasets.index import choose_named, choose_random
from pipeline.runtime.errors import ParamsError
from tests.strategies import named_sample

TABLE = [
    named_sample(f"{split}/{photo:03d}/{category}", category=("bread", "rice")[category])
    for split in ("train", "test")
    for photo in range(30)
    for category in range(2)
]


def choice(seed: int, *, count: int = 5, category: str | None = None, split: str = "test") -> list[str]:
    """Return the ids of a random choice."""
    chosen = choose_random(TABLE, split=split, category=category, count=count, seed=seed)
    return [numbered.sample.sample_id for numbered in chosen]


def test_rows_count_within_the_split() -> None:
    """The row of a sample is its place among the samples of its split, the row of the shards."""
    named = choose_named(TABLE, ["test/002/1", "train/000/1", "test/000/0"])
    assert [(numbered.sample.sample_id, numbered.row) for numbered in named] == [
        ("test/002/1", 5),
        ("train/000/1", 1),
        ("test/000/0", 0),
    ]


def test_the_seed_decides() -> None:
    """The same seed chooses the same samples, another seed others."""
    assert choice(0) == choice(0)
    assert choice(0) != choice(1)


def test_a_smaller_count_is_part_of_a_larger_one() -> None:
    """Asking for more keeps what was shown; asking for too many gives all, in table order."""
    assert set(choice(3, count=4)) < set(choice(3, count=9))
    assert choice(3, count=1000) == [sample.sample_id for sample in TABLE if sample.split == "test"]


def test_only_the_category_asked_for() -> None:
    """Split and category hold for every chosen sample."""
    assert all(sample_id.startswith("train/") for sample_id in choice(0, split="train"))
    assert all(sample_id.endswith("/1") for sample_id in choice(0, category="rice"))


def test_errors_name_what_there_is() -> None:
    """A wrong split, category or id is answered with valid ones."""
    with pytest.raises(ParamsError, match="no split 'val'; there are test, train"):
        choice(0, split="val")
    with pytest.raises(ParamsError, match="no 'ketchup' in split 'test'; there are bread, rice"):
        choice(0, category="ketchup")
    with pytest.raises(ParamsError, match=r"no sample test/9/9; .* for instance test/029/1"):
        choose_named(TABLE, ["test/000/0", "test/9/9"])
