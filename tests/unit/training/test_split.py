"""Samples in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.datasets.class_set import select_classes
from pipeline.datasets.shards import Shards
from pipeline.errors import DatasetError
from pipeline.training.batches import Batch, Draw
from pipeline.training.split import Split, load_split
from tests.judged_run import CATEGORIES, random_batch, select
from tests.training_data import split_of, write_shards_of

CPU = torch.device("cpu")


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
    drawn = streamed(split, list(range(10)), None)
    assert drawn.roi is not None
    np.testing.assert_array_equal(drawn.roi.permute(0, 2, 3, 1).numpy(), batch.roi)
    assert drawn.extra_roi is None


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


def streamed(split: Split, rows: list[int], mirror: torch.Tensor | None) -> Batch:
    """Return one batch."""
    (batch,) = split.stream([Draw(torch.tensor(rows), mirror)], CPU)
    return batch


def test_views_are_mirrored_left_to_right_where_drawn() -> None:
    """Each view by its own column, no other pixel moves, and the samples in memory stay as they are."""
    split = split_of(6)
    assert split.roi is not None
    assert split.extra_roi is not None
    before = split.roi.clone()
    batch = streamed(split, [4, 3, 2], torch.tensor([[False, True], [True, False], [False, False]]))
    assert batch.roi is not None
    assert batch.extra_roi is not None
    assert torch.equal(batch.roi, torch.stack([split.roi[4], split.roi[3].flip(2), split.roi[2]]))
    assert torch.equal(
        batch.extra_roi, torch.stack([split.extra_roi[4].flip(2), split.extra_roi[3], split.extra_roi[2]])
    )
    assert batch.targets.tolist() == split.targets[[4, 3, 2]].tolist()
    assert batch.rows.tolist() == [4, 3, 2]
    assert torch.equal(split.roi, before)


def test_an_absent_view_stays_absent() -> None:
    """A lone branch needs no pixels of the other view."""
    split = split_of(6)
    assert streamed(Split(split.sample_ids, split.targets, None, split.extra_roi), [0, 1], None).roi is None
