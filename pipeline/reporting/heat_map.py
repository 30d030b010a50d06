"""F1 of every category under every run, as steps of a colour scale."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.reporting.results import ClassScore

STEPS = 10
"""Colours of the scale; the style sheet has one class each."""


class Cell(NamedTuple):
    """One category under one run."""

    f1: float | None
    """In [0, 1]; None where the run does not know the category, or it occurs nowhere."""
    step: int
    """Colour, from 0 to STEPS - 1."""


class HeatRow(NamedTuple):
    """One category."""

    category: str
    samples: int
    """Test samples."""
    ambiguous: bool
    """Whether it belongs to the ambiguous pair."""
    cells: tuple[Cell, ...]
    """By run."""


def heat_map(
    scores: Mapping[str, Mapping[str, ClassScore]], categories: Sequence[str], ambiguous: Sequence[str]
) -> tuple[HeatRow, ...]:
    """Arrange scores by category (rows) and run (cells).

    Args:
        scores: Scores of each run, by category.
        categories: Rows from top to bottom; the ambiguous pair is moved to the top.
        ambiguous: Names of the pair.
    """
    ordered = sorted(categories, key=lambda name: name not in ambiguous)
    return tuple(_row(name, scores, ambiguous) for name in ordered)


def _row(name: str, scores: Mapping[str, Mapping[str, ClassScore]], ambiguous: Sequence[str]) -> HeatRow:
    found = [per_class.get(name) for per_class in scores.values()]
    samples = max((score.samples for score in found if score), default=0)
    return HeatRow(name, samples, name in ambiguous, tuple(_cell(score) for score in found))


def _cell(score: ClassScore | None) -> Cell:
    if score is None or score.samples == 0:
        return Cell(None, 0)
    return Cell(score.f1, min(int(score.f1 * STEPS), STEPS - 1))
