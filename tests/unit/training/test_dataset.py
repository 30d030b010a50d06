"""Samples in memory, in files or on a GPU."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.datasets.class_set import select_classes
from pipeline.datasets.sample_batch import VIEW_NAMES, ViewName
from pipeline.datasets.shards import Shards
from pipeline.runtime import resources as space
from pipeline.runtime.errors import DatasetError, SpaceError
from pipeline.training.dataset import (
    Batch,
    MemoryBudget,
    MicroBatch,
    Split,
    allocate,
    load_split,
    plan_epoch,
)
from tests.small_run import CATEGORIES, SIDE, TRAIN, random_batch, select
from tests.training_data import split_of, write_shards_of

CPU = torch.device("cpu")
BOTH = frozenset(VIEW_NAMES)
VIEW_BYTES = 10 * 3 * SIDE**2
"""Of one view of all train samples of `shards`."""
EVERY_FLIP = torch.tensor([[False, False], [False, True], [True, False], [True, True]])


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Return ten train samples in two shards, and test samples of sauce alone."""
    train, test = random_batch(10), random_batch(10, seed=1)
    sauces = select(test, np.flatnonzero(test.targets == 1).tolist())
    parts = [select(train, range(6)), select(train, range(6, 10))]
    return Shards(write_shards_of(tmp_path / "shards", {"train": parts, "test": [sauces]}))


def load(
    shards: Shards,
    budget: MemoryBudget | None = None,
    *,
    exclude: tuple[str, ...] = (),
    views: frozenset[ViewName] = BOTH,
    name: str = "train",
) -> Split:
    """Return a split."""
    return load_split(shards, name, select_classes(CATEGORIES, exclude), views=views, budget=budget)


def batch_of(split: Split, rows: list[int], hflip: Tensor | None) -> Batch:
    """Return one batch."""
    (batch,) = split.stream([MicroBatch(torch.tensor(rows), hflip)], CPU)
    return batch


def epoch_of(split: Split) -> list[Batch]:
    """Return all batches of an epoch with flips."""
    plan = plan_epoch(split.targets, TRAIN, 0, weights=None)
    return list(split.stream((each for micro_batches in plan.steps for each in micro_batches), CPU))


def assert_same_epoch(one: Split, other: Split) -> None:
    """Compare every target and pixel of an epoch."""
    for mine, theirs in zip(epoch_of(one), epoch_of(other), strict=True):
        for field, value in mine._asdict().items():
            other = getattr(theirs, field)
            assert value is other is None or torch.equal(value, other)


@pytest.mark.parametrize("views", [("roi",), ("extra_roi",), VIEW_NAMES], ids="+".join)
def test_samples_are_those_of_the_shards_under_every_flip(shards: Shards, views: tuple[ViewName, ...]) -> None:
    """In row order across shards; a view that no branch looks at stays absent."""
    split, expected = load(shards, views=frozenset(views)), random_batch(10)
    assert split.sample_ids == expected.sample_ids
    assert split.targets.tolist() == expected.targets.tolist()
    for hflip in EVERY_FLIP:
        batch = batch_of(split, list(range(10)), hflip.expand(10, 2))
        for name, flip in zip(VIEW_NAMES, hflip.tolist(), strict=True):
            view, images = getattr(batch, name), getattr(expected, name)
            assert (view is not None) is (name in views)
            if view is not None:
                flipped = images[:, :, ::-1] if flip else images
                np.testing.assert_array_equal(view.permute(0, 2, 3, 1).numpy(), flipped, err_msg=name)


def test_left_out_categories_leave_no_sample(shards: Shards) -> None:
    """The others keep their category by name, and their pixels."""
    classes = select_classes(CATEGORIES, ("sauce",))
    split, batch = load(shards, exclude=("sauce",), views=frozenset({"extra_roi"})), random_batch(10)
    kept = [row for row, target in enumerate(batch.targets) if CATEGORIES[target] != "sauce"]
    assert split.sample_ids == tuple(batch.sample_ids[row] for row in kept)
    assert [classes.names[target] for target in split.targets] == [CATEGORIES[batch.targets[row]] for row in kept]
    assert split.extra_roi is not None
    np.testing.assert_array_equal(split.extra_roi.numpy(), batch.extra_roi[kept])


def test_an_empty_split_is_refused(shards: Shards) -> None:
    """It would give metrics of nothing."""
    with pytest.raises(DatasetError, match="'test' has no sample of the run's 3 classes"):
        load(shards, exclude=("sauce",), name="test")


def test_samples_are_flipped_left_to_right_one_by_one() -> None:
    """Each view by its own column, no other pixel moves, and the samples in memory stay as they are."""
    split = split_of(6)
    assert split.roi is not None
    assert split.extra_roi is not None
    before = split.roi.clone()
    batch = batch_of(split, [4, 3, 2], torch.tensor([[False, True], [True, False], [False, False]]))
    roi, extra_roi = (view.permute(0, 3, 1, 2) for view in (split.roi, split.extra_roi))
    assert batch.roi is not None
    assert batch.extra_roi is not None
    assert torch.equal(batch.roi, torch.stack([roi[4], roi[3].flip(2), roi[2]]))
    assert torch.equal(batch.extra_roi, torch.stack([extra_roi[4].flip(2), extra_roi[3], extra_roi[2]]))
    assert batch.targets.tolist() == split.targets[[4, 3, 2]].tolist()
    assert batch.rows.tolist() == [4, 3, 2]
    assert torch.equal(split.roi, before)


def test_batches_lie_as_models_want_them() -> None:
    """Channels last in memory, so that no pixel moves again on its way into a network."""
    for hflip in (None, torch.ones(2, 2, dtype=torch.bool)):
        batch = batch_of(split_of(6), [3, 1], hflip)
        for view in (batch.roi, batch.extra_roi):
            assert view is not None
            assert view.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("memory", [0, VIEW_BYTES + 1, 2**40], ids=["none", "one view", "enough"])
@pytest.mark.parametrize("exclude", [(), ("sauce",)], ids=["all", "fewer"])
def test_a_file_gives_the_same_batches_as_memory(
    shards: Shards, tmp_path: Path, memory: int, exclude: tuple[str, ...]
) -> None:
    """With and without categories left out; nothing that a kill could leave is ever seen on the disk."""
    budget, before = MemoryBudget(memory, tmp_path), set(tmp_path.iterdir())
    split = load(shards, budget, exclude=exclude)
    assert set(tmp_path.iterdir()) == before
    assert_same_epoch(load(shards, exclude=exclude), split)
    assert budget.in_files == {0: 2 * VIEW_BYTES, VIEW_BYTES + 1: VIEW_BYTES, 2**40: 0}[memory]


@pytest.mark.parametrize("copies", [1, 4])
def test_memory_stays_within_the_budget_whatever_the_size_of_the_set(tmp_path: Path, copies: int) -> None:
    """Both splits share it; all that exceeds it lies in files."""
    parts = [random_batch(10, seed=seed) for seed in range(copies)]
    shards = Shards(write_shards_of(tmp_path / "shards", {"train": parts, "test": parts}))
    budget = MemoryBudget(VIEW_BYTES * 5 // 2, tmp_path)
    classes = select_classes(CATEGORIES, ())
    splits = [load_split(shards, name, classes, views=BOTH, budget=budget) for name in ("train", "test")]
    total = sum(split.nbytes for split in splits)
    assert total == 4 * copies * VIEW_BYTES
    assert budget.left >= 0
    assert total - budget.in_files == VIEW_BYTES * 5 // 2 - budget.left


def test_a_disk_without_room_is_one_line(shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked before anything is written."""
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: SimpleNamespace(free=999))
    with pytest.raises(SpaceError, match="are needed here and 999B are free"):
        load(shards, MemoryBudget(0, tmp_path))


@pytest.mark.parametrize("native", [True, False], ids=["fallocate", "written"])
def test_the_disk_has_room_for_all_of_the_file_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, native: bool
) -> None:
    """A sparse file whose disk fills up later would end the process by a signal (SIGBUS)."""
    if not native:
        monkeypatch.delattr("os.posix_fallocate")
    size = 3 * 2**20 + 5
    with (tmp_path / "pixels").open("w+b") as file:
        allocate(file, size)
    status = (tmp_path / "pixels").stat()
    assert status.st_size == size
    assert status.st_blocks * 512 >= size
