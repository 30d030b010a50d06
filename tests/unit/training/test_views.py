"""Pixels in memory, in a file or whole: the very same batches, each photo kept once."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jaxtyping import UInt8

from pipeline import space
from pipeline.datasets.class_set import select_classes
from pipeline.datasets.sample_batch import VIEW_NAMES, SampleBatch, ViewName
from pipeline.datasets.shards import Shards
from pipeline.errors import SpaceError
from pipeline.training import pixel_store
from pipeline.training.batches import Draw
from pipeline.training.kept_views import RestViews
from pipeline.training.pixel_store import Room
from pipeline.training.split import Split, load_split
from tests.judged_run import CATEGORIES, SIDE, random_batch, select
from tests.training_data import write_shards_of

CPU = torch.device("cpu")
BOTH = frozenset(VIEW_NAMES)
EVERY_FLIP = torch.tensor([[False, False], [False, True], [True, False], [True, True]])


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Return ten samples of five photos in two shards, cut in the middle of a photo."""
    return shards_of(tmp_path / "shards", random_batch(10))


def shards_of(folder: Path, batch: SampleBatch) -> Shards:
    """Return train samples in two shards."""
    half = len(batch) // 2
    parts = [select(batch, range(half)), select(batch, range(half, len(batch)))]
    return Shards(write_shards_of(folder, {"train": parts}))


def load(
    shards: Shards, room: Room | None = None, exclude: tuple[str, ...] = (), views: frozenset[ViewName] = BOTH
) -> Split:
    """Return the train split."""
    return load_split(shards, "train", select_classes(CATEGORIES, exclude), views=views, room=room)


def drawn(split: Split) -> list[torch.Tensor]:
    """Return all pixels of an epoch in some order with some flips."""
    order, mirror = torch.randperm(len(split)), torch.rand(len(split), 2) < 1 / 2
    draws = [Draw(order[part], mirror[part]) for part in torch.arange(len(split)).split(3)]
    return [view for batch in split.stream(draws, CPU) for view in (batch.roi, batch.extra_roi) if view is not None]


def assert_same_epoch(one: Split, other: Split) -> None:
    """Compare every pixel of an epoch."""
    epochs = []
    for split in (one, other):
        torch.manual_seed(0)
        epochs.append(drawn(split))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*epochs, strict=True))


def assert_pixels_of(split: Split, expected: SampleBatch) -> None:
    """Compare every view of every sample under every flip with the pictures in the shards."""
    for mirror in EVERY_FLIP:
        (batch,) = split.stream([Draw(torch.arange(len(split)), mirror.expand(len(split), 2))], CPU)
        for name, flip in zip(VIEW_NAMES, mirror.tolist(), strict=True):
            view, picture = getattr(batch, name), getattr(expected, name)
            if view is not None:
                np.testing.assert_array_equal(
                    view.permute(0, 2, 3, 1).numpy(), picture[:, :, ::-1] if flip else picture, err_msg=name
                )


@pytest.mark.parametrize("views", [("roi",), ("extra_roi",), VIEW_NAMES], ids="+".join)
def test_views_are_those_of_the_shards(shards: Shards, views: tuple[ViewName, ...]) -> None:
    """Each as it is and mirrored, padding included, with and without the other."""
    split = load(shards, views=frozenset(views))
    assert {name for name in VIEW_NAMES if getattr(split, name) is not None} == set(views)
    assert_pixels_of(split, random_batch(10))


def noise(seed: int) -> UInt8[np.ndarray, "S S 3"]:
    """Return a picture of which no two pixels have anything to do with each other."""
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def without_law() -> SampleBatch:
    """Return samples that no stage would write: nothing adds up, and gray levels and rectangles say nothing."""
    batch = random_batch(6)
    batch.roi[1], batch.extra_roi[2] = noise(1), noise(2)
    batch.roi[3], batch.extra_roi[4, 0] = 255, 7  # a region of the whole square, and a photo beyond its rectangle
    batch.roi[5, -1, -1], batch.rects[0] = 1, (0, 0, 1, 1)
    return batch


def test_whatever_shards_hold_comes_back(tmp_path: Path) -> None:
    """What does not follow the rule of two views costs memory, never a pixel."""
    batch = without_law()
    assert_pixels_of(load(shards_of(tmp_path / "shards", batch)), batch)


def test_an_empty_region_takes_nothing(tmp_path: Path) -> None:
    """Its ROI is the empty view, its extra-ROI the photo."""
    batch = random_batch(4)
    for row in range(len(batch)):
        batch.extra_roi[row][batch.masks[row]] = batch.roi[row][batch.masks[row]]
        batch.roi[row][batch.masks[row]] = 0
    split = load(shards_of(tmp_path / "shards", batch))
    assert isinstance(split.extra_roi, RestViews)
    assert [patch.pixels[False].size for patch in split.extra_roi.patches] == [0, 0, 0, 0]
    assert_pixels_of(split, batch)


def test_a_photo_is_kept_once(tmp_path: Path) -> None:
    """Samples of a photo share it, also across the edge of a shard."""
    whole = random_batch(4)
    rows = [0, 0, 0, 2]
    other = np.zeros_like(whole.masks[0])
    other[:3, :3] = True
    same_photo = select(whole, rows)
    total = same_photo.roi[1] + same_photo.extra_roi[1]
    same_photo.roi[1][other] = 7
    same_photo.extra_roi[1][...] = total - same_photo.roi[1]
    split = load(shards_of(tmp_path / "few", same_photo))
    assert isinstance(split.extra_roi, RestViews)
    assert len(split.extra_roi.photos) == 2
    assert split.extra_roi.photo_of == [0, 0, 0, 1]
    assert_pixels_of(split, same_photo)


@pytest.mark.parametrize("memory", [0, 4000, 2**40], ids=["none", "some", "enough"])
@pytest.mark.parametrize("exclude", [(), ("sauce",)], ids=["all", "fewer"])
def test_a_file_gives_the_same_batches_as_memory(
    shards: Shards, tmp_path: Path, memory: int, exclude: tuple[str, ...]
) -> None:
    """Same order, same flips, same pixels, with and without categories left out; nothing is left on the disk."""
    room = Room(memory, tmp_path)
    before = set(tmp_path.iterdir())
    assert_same_epoch(load(shards, exclude=exclude), load(shards, room, exclude))
    assert set(tmp_path.iterdir()) == before
    assert (room.in_file > 0) is (memory < 2**40)
    assert room.memory <= memory
    assert room.memory >= 0


def test_a_disk_without_room_is_one_line(shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for a part at a time, before that is written."""
    monkeypatch.setattr(pixel_store, "SEGMENT", 1000)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: SimpleNamespace(free=999))
    with pytest.raises(SpaceError, match="1.00kB are needed here and 999B are free"):
        load(shards, Room(0, tmp_path))
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    assert_same_epoch(load(shards), load(shards, Room(0, tmp_path)))


@pytest.mark.parametrize("views", [("roi",), ("extra_roi",), VIEW_NAMES], ids="+".join)
def test_whole_views_give_the_same_batches(tmp_path: Path, views: tuple[ViewName, ...]) -> None:
    """As a GPU holds them, whatever the shards hold."""
    for name, batch in {"usual": random_batch(7), "odd": without_law()}.items():
        split = load(shards_of(tmp_path / name, batch), views=frozenset(views))
        assert_same_epoch(split, split.whole(CPU))


def test_batches_lie_as_models_want_them(shards: Shards) -> None:
    """Channels last in memory, so that no pixel moves again on its way into a network."""
    for split in (load(shards), load(shards).whole(CPU)):
        (batch,) = split.stream([Draw(torch.tensor([3, 1]), torch.ones(2, 2, dtype=torch.bool))], CPU)
        for view in (batch.roi, batch.extra_roi):
            assert view is not None
            assert view.is_contiguous(memory_format=torch.channels_last)
