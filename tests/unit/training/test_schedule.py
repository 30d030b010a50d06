"""Learning rates."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params.model import TrainParams
from pipeline.training.optimizer import learning_rate, warmup_cosine
from tests.small_run import TRAIN

PEAK = 3e-3


def recipe(**changes: object) -> TrainParams:
    """Return a recipe of ten epochs with one epoch of warm-up."""
    defaults = {"schedule": "warmup_cosine", "epochs": 10, "warmup_epochs": 1.0, "learning_rate": PEAK}
    return TRAIN.model_copy(update=defaults | changes)


def rates(params: TrainParams, steps_per_epoch: int) -> list[float]:
    """Return the rate of every step of a run."""
    return [
        learning_rate(params, epoch=epoch, step=step, steps_per_epoch=steps_per_epoch, samples=0)
        for epoch in range(params.epochs)
        for step in range(steps_per_epoch)
    ]


def released_rates(samples: int, **changes: object) -> list[float]:
    """Return the rate of every epoch of the released recipe, which no step within an epoch may move."""
    params = recipe(**{"schedule": "released", "learning_rate": 4e-3, "epochs": 30, "batch_size": 50} | changes)
    steps = -(-samples // params.batch_size)
    first, last = (
        [
            learning_rate(params, epoch=epoch, step=step, steps_per_epoch=steps, samples=samples)
            for epoch in range(params.epochs)
        ]
        for step in (0, steps - 1)
    )
    assert first == last
    return first


@pytest.mark.parametrize("samples", [18_320, 18_179, 2_600, 1_246, 120, 50, 49])
@pytest.mark.parametrize("changes", [{}, {"learning_rate": 1e-2}, {"epochs": 100}, {"epochs": 1}, {"batch_size": 32}])
def test_the_released_schedule_is_its_closed_form(samples: int, changes: dict[str, Any]) -> None:
    """With T = floor(N / batch) epochs and W = 0.1 T: peak e / W below W, then the half cosine; stepped once an epoch.

    N of the paper, the official release, the subset of 900 photos and the demo; then few enough for the cosine. Fewer
    samples than a batch count as one.
    """
    peak, epochs, batch = (
        changes.get(name, value) for name, value in (("learning_rate", 4e-3), ("epochs", 30), ("batch_size", 50))
    )
    total = max(1, math.floor(samples / batch)) * epochs
    warmup = 0.1 * total
    expected = [
        peak * e / warmup if e < warmup else peak * 0.5 * (1 + math.cos(math.pi * (e - warmup) / (total - warmup)))
        for e in range(epochs)
    ]
    assert released_rates(samples, **changes) == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize(("samples", "last"), [(18_320, 1.0565e-4), (18_179, 1.0652e-4), (2_600, 7.44e-4)])
def test_the_last_released_rate_is_the_one_measured_on_the_released_code(samples: int, last: float) -> None:
    """To the digits that were noted down; the first epoch has rate 0, and the peak is never reached."""
    rates = released_rates(samples)
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(last, rel=1e-3)
    assert rates == sorted(rates)


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
