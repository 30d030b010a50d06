"""Paired comparison of a distilled student with its teacher and with the same backbone trained on labels alone."""

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
    """`summary.json` of stage `distill`."""

    teacher: str | None
    """Run of the teacher; None without distillation."""
    student: str | None
    """Run of the student."""
    undistilled: str | None
    """Run of the student's backbone trained on labels alone; not every study has it."""


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
    for table, other in combinations(tables.values(), 2):
        check_paired(table, other)
    drawn = {
        name: score_resamples(table.targets, table.predictions, table.photo_ids, table.pair(ambiguous), bootstrap)
        for name, table in tables.items()
    }
    scores: dict[str, Scores] = {}
    for name, (plain, resampled) in drawn.items():
        scores[name] = dict(zip(SCORES, percentile_intervals(plain, resampled, bootstrap), strict=False))
    changes: dict[tuple[str, str], Scores] = {}
    for first, second in combinations(tables, 2):
        plain, resampled = (after - before for before, after in zip(drawn[first], drawn[second], strict=True))
        changes[first, second] = dict(zip(SCORES, percentile_intervals(plain, resampled, bootstrap), strict=False))
    return scores, changes
