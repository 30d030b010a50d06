"""The temperature that makes a classifier's probabilities mean what they say.

Reference:
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

import math

from jaxtyping import Float, Float64, Int64
from torch import Tensor

LOWEST, HIGHEST = 1e-2, 1e2
"""Bounds of the search; a set without a mistake, or of nothing but mistakes, ends at one of them."""
HALVINGS = 60
DIGITS = 6


def fit_temperature(logits: Float[Tensor, "N K"], targets: Int64[Tensor, " N"]) -> float:
    """Return the temperature in [0.01, 100] of least mean negative log-likelihood, to six digits.

    The likelihood is log-concave in 1 / temperature, so halving where its slope changes sign finds the one optimum.

    Args:
        logits: Finite, before any temperature.
        targets: True classes.
    """
    scores = logits.double() - logits.double().amax(1, keepdim=True)
    low, high = math.log(1 / HIGHEST), math.log(1 / LOWEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(scores, targets, math.exp(middle)) < 0 else (low, middle)
    return float(f"{math.exp(-(low + high) / 2):.{DIGITS}g}")


def _slope(scores: Float64[Tensor, "N K"], targets: Int64[Tensor, " N"], inverse: float) -> float:
    """Return the derivative of the mean negative log-likelihood by the inverse temperature."""
    expected = ((scores * inverse).softmax(1) * scores).sum(1)
    return float((expected - scores.gather(1, targets[:, None])[:, 0]).mean())
