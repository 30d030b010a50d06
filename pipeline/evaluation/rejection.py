"""The reject option: below which confidence an answer counts as no known food, chosen on a run's validation split.

Temperature and threshold see the same samples, which are foods of the run's categories with annotated masks: the
precision holds for such, and is lower among proposals that are no food. Without torch.

Reference:
    Geifman and El-Yaniv, Selective classification for deep neural networks, arXiv 1705.08500.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from pipeline.evaluation.metrics import confidences_of
from pipeline.evaluation.predictions import VALIDATION, read_predictions
from pipeline.params.base import Section

UNKNOWN = "not a known food"
PRECISION = 0.8  # default of the precision asked for
MIN_ACCEPTED = 20  # fewer validation samples above a threshold say nothing about its precision


def percent(share: float, digits: int = 0) -> str:
    """Return a share in [0, 1] in percent, as page, `predict` and model card write it."""
    return f"{100 * share:.{digits}f} %"


class Rejection(Section):
    """A threshold of the confidence, and what it does on the validation split; all but `samples` in [0, 1]."""

    asked: float  # precision asked for: share of right answers among those that are given
    threshold: float | None  # least confidence, by calibrated probability, at which that is reached; None if none is
    precision: float | None  # at the threshold, or the highest of any where none reaches it; None with too few samples
    coverage: float  # share of samples whose answers that precision is of
    samples: int

    def accepts(self, confidence: float) -> bool | None:
        """Tell whether an answer of that confidence is given; None if there is no threshold to tell by."""
        return None if self.threshold is None else confidence >= self.threshold

    @property
    def sentence(self) -> str:
        """What the threshold is, or why there is none."""
        on = f"the {self.samples} samples of the validation split"
        if self.precision is None:
            return f"{on} are too few to tell from which confidence on {percent(self.asked)} of the answers are right"
        what = f"{percent(self.precision, 1)} of the answers on {percent(self.coverage)} of {on}"
        if self.threshold is None:
            return f"no confidence makes {percent(self.asked)} of the answers right; at most {what} are"
        return (
            f"from a confidence of {percent(self.threshold, 1)} on, {what} are right; below, a food counts as unknown"
        )


def choose_threshold(confidences: Float64[np.ndarray, " N"], right: Bool[np.ndarray, " N"], asked: float) -> Rejection:
    """Return the least confidence such that of the answers at or above it a share of at least `asked` is right."""
    order = np.argsort(-confidences, kind="stable")
    ranked, accepted = confidences[order], np.arange(1, len(order) + 1)
    precisions = right[order].cumsum() / accepted
    # Equal confidences are accepted together.
    ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True)[: len(order)] & (accepted >= MIN_ACCEPTED))
    if not ends.size:
        return Rejection(asked=asked, threshold=None, precision=None, coverage=0.0, samples=len(order))
    reaching = ends[precisions[ends] >= asked]
    end = int(reaching[-1] if reaching.size else ends[precisions[ends].argmax()])
    return Rejection(
        asked=asked,
        threshold=float(ranked[end]) if reaching.size else None,
        precision=float(precisions[end]),
        coverage=(end + 1) / len(order),
        samples=len(order),
    )


def read_rejection(run: Path, temperature: float, asked: float = PRECISION) -> Rejection | None:
    """Choose the threshold by the predictions of the validation split in a run's folder, None if it has none.

    Args:
        run: Folder of a finished run.
        temperature: That of its card.
        asked: Precision in (0, 1].

    Raises:
        ManifestError: If the table of predictions is damaged.
    """
    path = run / VALIDATION
    if not path.exists():
        return None
    table = read_predictions(path)
    return choose_threshold(confidences_of(table.logits, temperature), table.predictions == table.targets, asked)
