"""Whether a student that was taught does better than one that learned from labels alone, sample by sample."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

from pipeline.evaluation.bootstrap import (
    SCORES,
    Bootstrap,
    Interval,
    check_paired,
    percentile_intervals,
    score_resamples,
)
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import Section


class DistillationSummary(Section):
    """`summary.json` of stage `distill`: who taught whom."""

    teacher: str | None
    """Run of the teacher; None where nobody teaches."""
    student: str | None
    """Run of the student."""
    undistilled: str | None
    """Run of the student's backbone that learned from labels alone; not every study has it."""


Scores: TypeAlias = Mapping[str, Interval]
"""Value with its 95 % interval by score, as `SCORES` names them."""


def compare_students(
    tables: Mapping[str, PredictionTable], ambiguous: Sequence[str], bootstrap: Bootstrap
) -> tuple[dict[str, Scores], dict[tuple[str, str], Scores]]:
    """Return the scores of every run, and of every two runs the later one's minus the earlier one's.

    All are scored on the same resamples of the photos.

    Args:
        tables: Predictions by name, for the same samples.
        ambiguous: Names of the ambiguous pair.
        bootstrap: How to resample.

    Raises:
        EvaluationError: If the tables hold other samples or none.
    """
    for first, second in combinations(tables.values(), 2):
        check_paired(first, second)
    drawn = {
        name: score_resamples(table.targets, table.predictions, table.photo_ids, table.pair(ambiguous), bootstrap)
        for name, table in tables.items()
    }
    alone: dict[str, Scores] = {
        name: _named(percentile_intervals(plain, draws, bootstrap)) for name, (plain, draws) in drawn.items()
    }
    changes: dict[tuple[str, str], Scores] = {
        (first, second): _named(
            percentile_intervals(drawn[second][0] - drawn[first][0], drawn[second][1] - drawn[first][1], bootstrap)
        )
        for first, second in combinations(tables, 2)
    }
    return alone, changes


def _named(intervals: Sequence[Interval]) -> dict[str, Interval]:
    return dict(zip(SCORES, intervals, strict=False))
