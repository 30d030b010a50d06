"""Cutting the sample table into files."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.index import Sample
from pipeline.datasets.work_units import by_photo, plan_files
from pipeline.runtime.errors import DatasetError
from tests.strategies import named_sample


def table(**photos: list[int]) -> list[Sample]:
    """Return the table of splits given as numbers of samples per photo."""
    return [
        named_sample(f"{split}/{photo:04d}/{category}")
        for split, counts in photos.items()
        for photo, held in enumerate(counts)
        for category in range(held)
    ]


COUNTS = st.lists(st.integers(1, 5), max_size=12)


@settings(deadline=None)
@given(COUNTS, COUNTS, st.integers(1, 5))
def test_files_hold_every_sample_once_in_order(train: list[int], test: list[int], photos_per_file: int) -> None:
    """Joined, the files are the table; a photo is in one file, and no file has too many photos."""
    samples = table(train=train, test=test)
    planned = list(plan_files(samples, photos_per_file=photos_per_file))
    assert [held for file in planned for held in file.samples] == samples
    for file in planned:
        assert {held.split for held in file.samples} == {file.split}
        assert len({held.photo_id for held in file.samples}) <= photos_per_file
    homes = [(photo[0].photo_id, file.name) for file in planned for photo in by_photo(file.samples)]
    assert len(homes) == len({photo for photo, _ in homes}) == len(train) + len(test)


@settings(deadline=None)
@given(COUNTS, st.integers(1, 5))
def test_all_files_but_the_last_are_full(counts: list[int], photos_per_file: int) -> None:
    """Files are numbered from 0 and start where the one before ended."""
    planned = list(plan_files(table(test=counts), photos_per_file=photos_per_file))
    assert [file.name for file in planned] == [f"test-{number:05d}.parquet" for number in range(len(planned))]
    assert len(planned) == -(-len(counts) // photos_per_file)
    row = 0
    for file in planned:
        assert file.first_row == row
        row += len(file.samples)


def test_planning_reads_no_further_than_the_file_at_hand() -> None:
    """The first file is planned from a table without end."""
    endless = (named_sample(f"train/{photo}/1") for photo in count())
    assert next(plan_files(endless, photos_per_file=2)).samples == (
        named_sample("train/0/1"),
        named_sample("train/1/1"),
    )


def test_a_split_that_comes_twice_is_refused() -> None:
    """Files are numbered within a split, so its samples must be adjacent."""
    with pytest.raises(DatasetError, match="split 'train' are not adjacent"):
        list(
            plan_files(
                [named_sample("train/a/1"), named_sample("test/a/1"), named_sample("train/b/1")], photos_per_file=1
            )
        )
