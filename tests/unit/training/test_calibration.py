"""Calibration temperatures."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.training.losses import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature

SAMPLES, CLASSES = 400, 7


def honest(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits, and targets drawn with just the probabilities that the logits state."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(SAMPLES, CLASSES, generator=generator) * 2
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@given(st.floats(0.2, 5.0), st.floats(-50, 50))
def test_scaled_logits_need_just_that_temperature_more(scale: float, shift: float) -> None:
    """A factor on all logits is undone; a constant added to them changes no probability and no temperature."""
    logits, targets = honest()
    assert fit_temperature(logits * scale + shift, targets) == pytest.approx(
        scale * fit_temperature(logits, targets), rel=1e-4
    )


def test_honest_logits_need_hardly_any() -> None:
    """About 1 on a few hundred samples."""
    assert fit_temperature(*honest()) == pytest.approx(1, abs=0.1)


def test_no_other_temperature_is_likelier() -> None:
    """Neither a little more nor a little less."""
    logits, targets = honest(1)
    logits = logits.double() * 3

    def loss(temperature: float) -> float:
        return float(nn.functional.cross_entropy(logits / temperature, targets))

    best = fit_temperature(logits.float(), targets)
    assert loss(best) < min(loss(best * 1.001), loss(best / 1.001), loss(1.0))


def test_without_a_mistake_or_a_hit_the_bounds_hold() -> None:
    """No finite temperature is best there, so the search ends at its bounds."""
    logits, _ = honest()
    assert fit_temperature(logits, logits.argmax(1)) == MIN_TEMPERATURE
    assert fit_temperature(logits, logits.argmin(1)) == MAX_TEMPERATURE
