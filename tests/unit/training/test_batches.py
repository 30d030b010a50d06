"""Order, flips and gathering of batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.pixels import to_tensor
from pipeline.training.batches import draw_flips, split_evenly, take
from pipeline.training.split import Split
from tests.judged_run import random_batch

CPU = torch.device("cpu")


@pytest.fixture
def split() -> Split:
    """Return six samples."""
    batch = random_batch(6)
    return Split(batch.sample_ids, torch.from_numpy(batch.targets), to_tensor(batch.roi), to_tensor(batch.extra_roi))


@given(st.integers(1, 60), st.integers(1, 20))
def test_no_sample_is_dropped_or_alone(samples: int, batch_size: int) -> None:
    """Batches hold every sample once, in order; none of size 1 unless asked for or there is only one sample."""
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(0))
    batches = split_evenly(order, batch_size)
    assert torch.equal(torch.cat(batches), order)
    assert len(batches[-1]) > 1 or samples == 1 or batch_size == 1
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_joint_flips_agree_and_separate_ones_do_not() -> None:
    """About the share asked for is flipped."""
    for joint, agreement in ((True, 1.0), (False, 0.5)):
        flips = draw_flips(4000, probability=0.5, joint=joint, generator=torch.Generator().manual_seed(0))
        assert flips.float().mean().item() == pytest.approx(0.5, abs=0.03)
        assert (flips[:, 0] == flips[:, 1]).float().mean().item() == pytest.approx(agreement, abs=0.03)


@pytest.mark.parametrize(("probability", "expected"), [(0.0, False), (1.0, True)])
def test_extreme_probabilities_are_exact(probability: float, expected: bool) -> None:
    """Never means never."""
    flips = draw_flips(500, probability=probability, joint=False, generator=torch.Generator().manual_seed(0))
    assert bool((flips == expected).all())


def test_views_are_mirrored_left_to_right_where_drawn(split: Split) -> None:
    """Each view by its own column, no other pixel moves, and the samples in memory stay as they are."""
    assert split.roi is not None
    assert split.extra_roi is not None
    before = split.roi.clone()
    flips = torch.tensor([[True, False], [False, True], [False, False]]).repeat(2, 1)
    batch = take(split, torch.tensor([4, 3, 2]), CPU, flips)
    assert batch.roi is not None
    assert batch.extra_roi is not None
    assert torch.equal(batch.roi, torch.stack([split.roi[4], split.roi[3].flip(2), split.roi[2]]))
    assert torch.equal(
        batch.extra_roi, torch.stack([split.extra_roi[4].flip(2), split.extra_roi[3], split.extra_roi[2]])
    )
    assert batch.targets.tolist() == split.targets[[4, 3, 2]].tolist()
    assert torch.equal(split.roi, before)


def test_an_absent_view_stays_absent(split: Split) -> None:
    """A lone branch needs no pixels of the other view."""
    batch = take(Split(split.sample_ids, split.targets, None, split.extra_roi), torch.arange(2), CPU, None)
    assert batch.roi is None
