"""Temperature scaling of a classifier's probabilities.

Reference:
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

import math

from jaxtyping import Float, Int64
from torch import Tensor

MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-2, 1e2
"""Bounds of the search; a set without errors, or of errors alone, ends at one of them."""
BISECTIONS = 60
DIGITS = 6


def fit_temperature(logits: Float[Tensor, "N K"], targets: Int64[Tensor, " N"]) -> float:
    """Return the temperature in [0.01, 100] of least mean negative log-likelihood, to six digits.

    The likelihood is log-concave in 1 / temperature, so bisection of its derivative finds the optimum.

    Args:
        logits: Finite, before any temperature.
        targets: True classes.
    """
    scores = logits.double() - logits.double().amax(1, keepdim=True)
    low, high = math.log(1 / MAX_TEMPERATURE), math.log(1 / MIN_TEMPERATURE)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        expected = ((scores * math.exp(middle)).softmax(1) * scores).sum(1)
        slope = float((expected - scores.gather(1, targets[:, None])[:, 0]).mean())  # by the inverse temperature
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(f"{math.exp(-(low + high) / 2):.{DIGITS}g}")
