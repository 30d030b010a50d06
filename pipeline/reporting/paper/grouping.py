"""Means over groups of runs: how Tables 5, 6 and 7 follow from Tables 11 and 12, the paper's or ours."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper.source import Key, Paper

ValueT = TypeVar("ValueT", float, np.ndarray)

GROUPED = (5, 6, 7)
"""Tables that are means of rows of Tables 11 and 12."""


def mean_over(runs: Sequence[GridRun], results: Mapping[GridRun, ValueT]) -> ValueT | None:
    """Return the mean of some runs' results, numbers or arrays; None unless every one of them is there."""
    if not all(run in results for run in runs):
        return None
    return sum((results[run] for run in runs[1:]), results[runs[0]]) / len(runs)


def regroup(paper: Paper, values: Mapping[Key, float]) -> dict[Key, float | None]:
    """Return every cell of Tables 5, 6 and 7 from the changes of single runs.

    Args:
        paper: Which cells there are and which runs each averages.
        values: Changes of single runs; the paper's own are `paper.values()`.
    """
    keys = [cell.key for number in GROUPED for row in paper.tables[number].rows for cell in row.cells]
    return {key: mean_over(key.runs, _single(values, key)) for key in keys}


def _single(values: Mapping[Key, float], key: Key) -> dict[GridRun, float]:
    keys = {run: Key((run,), key.measure) for run in key.runs}
    return {run: values[single] for run, single in keys.items() if single in values}
