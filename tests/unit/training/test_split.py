"""Samples in memory."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.class_set import select_classes
from pipeline.datasets.shards import Shards
from pipeline.errors import DatasetError
from pipeline.training.split import load_split
from tests.judged_run import CATEGORIES, random_batch, select
from tests.training_data import write_shards_of


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Return ten train samples in two shards, and test samples of sauce alone."""
    train, test = random_batch(10), random_batch(10, seed=1)
    sauces = select(test, np.flatnonzero(test.targets == 1).tolist())
    parts = [select(train, range(6)), select(train, range(6, 10))]
    return Shards(write_shards_of(tmp_path / "shards", {"train": parts, "test": [sauces]}))


def test_all_samples_come_in_row_order(shards: Shards) -> None:
    """Pixels, targets and names stay together across shards."""
    split, batch = (
        load_split(shards, "train", select_classes(CATEGORIES, ()), views=frozenset({"roi"})),
        random_batch(10),
    )
    assert split.sample_ids == batch.sample_ids
    assert split.targets.tolist() == batch.targets.tolist()
    assert split.roi is not None
    np.testing.assert_array_equal(split.roi.permute(0, 2, 3, 1).numpy(), batch.roi)
    assert split.extra_roi is None


def test_left_out_categories_leave_no_sample(shards: Shards) -> None:
    """The others keep their category by name."""
    classes = select_classes(CATEGORIES, ("sauce",))
    split, batch = load_split(shards, "train", classes, views=frozenset({"extra_roi"})), random_batch(10)
    kept = [row for row, target in enumerate(batch.targets) if CATEGORIES[target] != "sauce"]
    assert split.sample_ids == tuple(batch.sample_ids[row] for row in kept)
    assert [classes.names[target] for target in split.targets] == [CATEGORIES[batch.targets[row]] for row in kept]
    assert len(split) == len(kept)


def test_an_empty_split_is_refused(shards: Shards) -> None:
    """It would give metrics of nothing."""
    with pytest.raises(DatasetError, match="'test' has no sample of the run's 3 classes"):
        load_split(shards, "test", select_classes(CATEGORIES, ("sauce",)), views=frozenset({"roi"}))
