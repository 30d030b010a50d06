"""What an epoch draws."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.dataset import EpochPlan, draw_flips, plan_epoch, split_batches
from tests.small_run import TRAIN

TARGETS = torch.tensor([0, 0, 0, 1, 0, 0, 2, 0, 0, 0])


def plan(epoch: int = 0, weights: torch.Tensor | None = None, **changes: object) -> EpochPlan:
    """Return the plan of an epoch over ten samples."""
    return plan_epoch(TARGETS, TRAIN.model_copy(update=changes), epoch, weights=weights)


def rows(of: EpochPlan) -> list[list[int]]:
    """Return the rows of every step."""
    return [[row for draw in draws for row in draw.rows.tolist()] for draws in of.steps]


@given(st.integers(1, 60), st.integers(1, 20))
def test_no_sample_is_dropped_or_alone(samples: int, batch_size: int) -> None:
    """Batches hold every sample once, in order; none of size 1 unless asked for or there is only one sample."""
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(0))
    batches = split_batches(order, batch_size)
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


def test_an_epoch_sees_every_sample_once_in_an_order_of_its_own() -> None:
    """Steps of the batch size; the same (seed, epoch) draws the same."""
    first = plan()
    assert [len(step) for step in rows(first)] == [4, 4, 2]
    assert sorted(row for step in rows(first) for row in step) == list(range(10))
    assert rows(first) == rows(plan())
    assert rows(first) != rows(plan(epoch=1))
    assert rows(first) != rows(plan(seed=1))
    assert first.samples == len(TARGETS)


@given(st.integers(1, 8))
def test_passes_split_a_step_and_change_nothing_else(accumulate: int) -> None:
    """The same samples with the same flips, in no more passes than asked for, none of one sample alone."""
    whole, split = plan(batch_size=8), plan(batch_size=8, accumulate=accumulate)
    assert rows(split) == rows(whole)
    for (draw,), draws in zip(whole.steps, split.steps, strict=True):
        flips = [part.hflip for part in draws if part.hflip is not None]
        assert draw.hflip is not None
        assert torch.equal(torch.cat(flips), draw.hflip)
        assert len(draws) <= accumulate
        assert accumulate == 8 or all(len(part.rows) > 1 for part in draws)


def test_the_sampler_draws_classes_as_often_as_they_weigh() -> None:
    """Two rare classes of weight 8 are drawn like the common one of eight samples; a weight of 0 is never drawn."""
    weights = torch.tensor([1.0, 8.0, 8.0])
    drawn = [row for epoch in range(300) for step in rows(plan(epoch, weights)) for row in step]
    shares = torch.bincount(TARGETS[drawn], minlength=3) / len(drawn)
    assert shares.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3], abs=0.03)
    assert len(drawn) == 300 * len(TARGETS)
    assert {int(TARGETS[row]) for step in rows(plan(0, torch.tensor([0.0, 1.0, 0.0]))) for row in step} == {1}


def test_a_sample_drawn_twice_is_flipped_each_time_anew() -> None:
    """Otherwise a rare sample would be seen one way round all epoch long."""
    draws = [draw for step in plan(0, torch.tensor([0.0, 1.0, 0.0])).steps for draw in step]
    flips = torch.cat([draw.hflip for draw in draws if draw.hflip is not None])
    assert 0 < int(flips[:, 0].sum()) < len(TARGETS)
