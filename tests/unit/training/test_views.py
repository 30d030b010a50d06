"""Pixels in memory or in a file: the very same batches, each photo kept once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.datasets.class_set import select_classes
from pipeline.datasets.shards import Shards
from pipeline.training.batches import Draw
from pipeline.training.split import Split, bytes_of_split, load_split
from pipeline.training.views import Complement
from tests.judged_run import CATEGORIES, SIDE, random_batch, select
from tests.training_data import write_shards_of

CPU = torch.device("cpu")
BOTH = frozenset({"roi", "extra_roi"})


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Return ten samples of five photos in two shards, cut in the middle of a photo."""
    train = random_batch(10)
    parts = [select(train, range(5)), select(train, range(5, 10))]
    return Shards(write_shards_of(tmp_path / "shards", {"train": parts}))


def load(shards: Shards, scratch: Path | None = None, exclude: tuple[str, ...] = ()) -> Split:
    """Return the train split."""
    return load_split(shards, "train", select_classes(CATEGORIES, exclude), views=BOTH, scratch=scratch)


def drawn(split: Split) -> list[torch.Tensor]:
    """Return all pixels of an epoch in some order with some flips."""
    order, mirror = torch.randperm(len(split)), torch.rand(len(split), 2) < 1 / 2
    draws = [Draw(order[part], mirror[part]) for part in torch.arange(len(split)).split(3)]
    return [view for batch in split.stream(draws, CPU) for view in (batch.roi, batch.extra_roi) if view is not None]


def test_views_are_those_of_the_shards(shards: Shards) -> None:
    """The ROI is kept as it is, the extra-ROI comes back from its photo's sum, padding included."""
    batch, expected = next(load(shards).stream([Draw(torch.arange(10), None)], CPU)), random_batch(10)
    for name in BOTH:
        np.testing.assert_array_equal(getattr(batch, name).permute(0, 2, 3, 1).numpy(), getattr(expected, name))


def test_a_photo_is_kept_once(tmp_path: Path) -> None:
    """Samples of a photo share the sum of their views, also across the edge of a shard."""
    whole = random_batch(4)
    rows = [0, 0, 0, 2]
    other = np.zeros_like(whole.masks[0])
    other[:3, :3] = True
    same_photo = select(whole, rows)
    total = same_photo.roi[1] + same_photo.extra_roi[1]
    same_photo.roi[1][other] = 7
    same_photo.extra_roi[1][...] = total - same_photo.roi[1]
    parts = [select(same_photo, range(2)), select(same_photo, range(2, 4))]
    split = load(Shards(write_shards_of(tmp_path / "few", {"train": parts})))
    assert isinstance(split.extra_roi, Complement)
    assert len(split.extra_roi.sums) == 2
    assert split.extra_roi.photos.tolist() == [0, 0, 0, 1]
    np.testing.assert_array_equal(drawn_in_order(split), same_photo.extra_roi)


def drawn_in_order(split: Split) -> np.ndarray:
    """Return all extra-ROI views."""
    (batch,) = split.stream([Draw(torch.arange(len(split)), None)], CPU)
    assert batch.extra_roi is not None
    return batch.extra_roi.permute(0, 2, 3, 1).numpy()


def test_a_file_gives_the_same_batches_as_memory(shards: Shards, tmp_path: Path) -> None:
    """Same order, same flips, same pixels, with and without categories left out; nothing is left on the disk."""
    for exclude in ((), ("sauce",)):
        torch.manual_seed(0)
        resident = drawn(load(shards, exclude=exclude))
        torch.manual_seed(0)
        mapped = drawn(load(shards, tmp_path, exclude))
        assert all(torch.equal(one, other) for one, other in zip(resident, mapped, strict=True))
    assert list(tmp_path.glob("*.pixels")) == []


def test_batches_lie_as_models_want_them(shards: Shards) -> None:
    """Channels last in memory, so that no pixel moves again on its way into a network."""
    (batch,) = load(shards).stream([Draw(torch.tensor([3, 1]), torch.ones(2, 2, dtype=torch.bool))], CPU)
    for view in (batch.roi, batch.extra_roi):
        assert view is not None
        assert view.is_contiguous(memory_format=torch.channels_last)


def test_the_need_for_memory_is_known_before_reading(shards: Shards) -> None:
    """One byte a channel of every pixel of every view."""
    assert bytes_of_split(shards, "train", views=BOTH) == 10 * 2 * 3 * SIDE**2
    assert bytes_of_split(shards, "train", views=frozenset({"roi"})) == 10 * 3 * SIDE**2
