"""What a cell of the paper's tables measures, in a form that both the paper's numbers and ours can be looked up by."""

from typing import Literal, NamedTuple, TypeAlias

from pipeline.reporting.grid import GridRun

Score: TypeAlias = Literal["macro_f1", "ambiguous_f1", "top1", "change", "count"]

SCALE: dict[Score, float] = {"macro_f1": 1.0, "ambiguous_f1": 1.0, "top1": 100.0, "change": 100.0, "count": 1.0}
"""What a share in [0, 1] is multiplied by to stand in the paper's unit."""
DIGITS: dict[Score, int] = {"macro_f1": 4, "ambiguous_f1": 4, "top1": 3, "change": 3, "count": 0}
"""Decimals the paper prints."""
UNIT: dict[Score, str] = {
    "macro_f1": "F1 in [0, 1]",
    "ambiguous_f1": "F1 in [0, 1]",
    "top1": "per cent",
    "change": "percentage points",
    "count": "samples",
}


class Measure(NamedTuple):
    """One number of a run."""

    score: Score
    """What is scored; `change` is top-1 under a disturbance minus top-1 without, `count` a cell of the pair's
    confusion matrix."""
    detail: str = ""
    """The disturbance, see `permuted` and `moved`, empty for none; of a count see `answered`."""


class Key(NamedTuple):
    """One number of one run, or its mean over several."""

    runs: tuple[GridRun, ...]
    """Runs that are averaged."""
    measure: Measure
    """What is averaged."""


def permuted(target: str) -> str:
    """Return the detail of shuffled patches of a branch's input: roi, extra_roi or both."""
    return f"permutation of {target}"


def moved(dx: int, dy: int) -> str:
    """Return the detail of a translocated extra-ROI."""
    return f"translocation by ({dx}, {dy})"


def answered(truth: int, answer: int) -> str:
    """Return the detail of a count: samples of one class of the ambiguous pair answered as one of the pair."""
    return f"{truth} as {answer}"


def round_as_paper(value: float, score: Score) -> str:
    """Return a number in the paper's unit with the paper's decimals."""
    return f"{value:.{DIGITS[score]}f}"
