"""What a run says about one region of a photo. Never imports torch: commands that only print their help need this."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float32, Float64

from pipeline.imaging.letterbox import Square, SquareMask

DRAWINGS_ONLY = "this run knows drawings only, its answers on photos mean nothing"
"""What belongs to every answer of a run that was trained on the demo."""
LogitRow: TypeAlias = Float32[np.ndarray, " K"]
Probabilities: TypeAlias = Float64[np.ndarray, " K"]  # in [0, 1]; they sum to 1


class Guess(NamedTuple):
    """One category with its probability."""

    category: str
    probability: float
    """In [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Scores of one region of interest, and the views the run was given."""

    class_names: tuple[str, ...]
    """Category name by logit."""
    logits: LogitRow
    """Scores as `evaluate` stores them."""
    temperature: float
    """Divides the logits before the softmax, so that probabilities are calibrated."""
    mask: SquareMask
    roi: Square
    """Cut-out of the region; black outside, gray padding."""
    extra_roi: Square

    @property
    def probabilities(self) -> Probabilities:
        """Calibrated probability of every class."""
        return softmax(self.logits, self.temperature)

    def top(self, count: int = 5) -> tuple[Guess, ...]:
        """Return the most probable categories, best first; of equal ones the lower index first."""
        probabilities, best = self.probabilities, np.argsort(-self.logits, kind="stable")[:count]
        return tuple(Guess(self.class_names[i], float(probabilities[i])) for i in best)


def softmax(logits: LogitRow, temperature: float) -> Probabilities:
    """Return the softmax of the logits over a temperature above 0, in double precision."""
    weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    probabilities: Probabilities = weights / weights.sum()
    return probabilities
