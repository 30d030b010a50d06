"""A backbone alone on the ROI against the same backbone in both branches, sample by sample."""

from typing import NamedTuple

import numpy as np

from pipeline.evaluation.intervals import Bootstrap, Interval, differences
from pipeline.evaluation.predictions import PredictionTable
from pipeline.reporting.grid import GridRun
from pipeline.reporting.headline import Answers, Comparison, compare
from pipeline.reporting.sample_cards import Answer, answer


class Duel(NamedTuple):
    """The predictions of two runs for the same samples."""

    runs: tuple[GridRun, GridRun]
    """ROI only, two branches."""
    single: PredictionTable
    double: PredictionTable
    temperatures: tuple[float, float]
    """What the logits of each are divided by before the softmax."""


def compare_duel(duel: Duel, ambiguous: tuple[str, ...], seed: int) -> Comparison:
    """Compare two runs on the ambiguous pair, or on all samples where there is no pair."""
    single, double = (right_answers(table, ambiguous) for table in (duel.single, duel.double))
    return compare(duel.runs, single, double, Bootstrap(seed))


def right_answers(table: PredictionTable, ambiguous: tuple[str, ...]) -> Answers:
    """Return whether a run is right, for the samples of the pair, or for all where there is no pair."""
    pair = table.pair(ambiguous)
    rows = np.flatnonzero(np.isin(table.targets, pair)).tolist() if pair else range(len(table.targets))
    return {table.sample_ids[row]: bool(table.predictions[row] == table.targets[row]) for row in rows}


def gain(duel: Duel, ambiguous: tuple[str, ...], seed: int) -> Interval:
    """Return F1 of two branches minus F1 of ROI only, on the pair or on all, with its interval over photos.

    Raises:
        EvaluationError: If the runs were evaluated on different samples.
    """
    pair = duel.double.pair(ambiguous)
    found = differences(duel.single, duel.double, pair, Bootstrap(seed))
    return found["ambiguous_f1" if pair else "macro_f1"]


def category_of(duel: Duel) -> dict[str, str]:
    """Return the category name of every sample."""
    table = duel.double
    return {
        sample_id: table.class_names[target]
        for sample_id, target in zip(table.sample_ids, table.targets.tolist(), strict=True)
    }


def answers_of(duel: Duel, sample_id: str) -> tuple[Answer, ...]:
    """Return what both runs say about one sample."""
    answers = []
    for run, table, temperature in zip(duel.runs, (duel.single, duel.double), duel.temperatures, strict=True):
        row = table.sample_ids.index(sample_id)
        logits = table.logits[row : row + 1] / temperature
        answers.append(answer(run.label, int(table.targets[row]), logits, table.class_names))
    return tuple(answers)
