"""Learning rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params.model import TrainParams
from pipeline.training.schedule import learning_rate, released, warmup_cosine
from tests.judged_run import TRAIN

PEAK = 3e-3


def recipe(**changes: object) -> TrainParams:
    """Return a recipe of ten epochs with one epoch of warm-up."""
    defaults = {"schedule": "warmup_cosine", "epochs": 10, "warmup_epochs": 1.0, "learning_rate": PEAK}
    return TRAIN.model_copy(update=defaults | changes)


def rates(params: TrainParams, steps_per_epoch: int) -> list[float]:
    """Return the rate of every step of a run."""
    return [
        learning_rate(params, epoch=epoch, step=step, steps_per_epoch=steps_per_epoch)
        for epoch in range(params.epochs)
        for step in range(steps_per_epoch)
    ]


def test_the_released_code_never_left_its_warm_up() -> None:
    """Thirty rates from 0 to 1.0565e-4, each for a whole epoch."""
    expected = [4e-3 * epoch / 1098 for epoch in range(30)]
    for epoch, rate in enumerate(expected):
        assert released(epoch) == pytest.approx(rate, abs=1e-12)
        params = recipe(schedule="released", epochs=30)
        assert {learning_rate(params, epoch=epoch, step=step, steps_per_epoch=367) for step in (0, 366)} == {
            released(epoch)
        }
    assert released(0) == 0
    assert released(29) == pytest.approx(1.0565e-4, abs=1e-8)


def test_warm_up_is_linear_and_ends_at_the_peak() -> None:
    """Step s of n has rate peak (s + 1) / n."""
    first = rates(recipe(), 20)[:20]
    assert first == pytest.approx([PEAK * (step + 1) / 20 for step in range(20)])
    assert first[-1] == PEAK


def test_after_the_warm_up_comes_half_a_cosine() -> None:
    """The closed form, from the peak towards 0."""
    rest = rates(recipe(), 20)[20:]
    assert rest == pytest.approx([PEAK / 2 * (1 + math.cos(math.pi * step / 180)) for step in range(180)])
    assert rest == sorted(rest, reverse=True)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    """And a constant schedule stays there."""
    assert rates(recipe(warmup_epochs=0.0), 5)[0] == PEAK
    assert set(rates(recipe(schedule="constant"), 5)) == {PEAK}


@given(st.integers(1, 400), st.floats(0, 500), st.integers(0, 500))
def test_rates_stay_between_zero_and_the_peak(total: int, warmup: float, step: int) -> None:
    """Whatever the lengths, also where the warm-up is longer than the run or ends within a step."""
    assert 0 <= warmup_cosine(step, peak=PEAK, warmup_steps=warmup, total_steps=total) <= PEAK
