"""Our number for every cell of the paper's tables, each with a 95 % interval."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from pipeline.evaluation.bootstrap import Bootstrap, Interval, f1_intervals, mean_intervals, share_interval
from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper.published import SCALE, Key, Measure, PairCell, mean_over
from pipeline.reporting.run_files import Evidence
from pipeline.runtime.errors import EvaluationError

INTERVALS = {
    "macro_f1": "percentile bootstrap over photos",
    "ambiguous_f1": "percentile bootstrap over photos",
    "top1": "percentile bootstrap over photos",
    "change": "percentile bootstrap over photos, paired: with and without the disturbance on the same resamples",
    "count": "percentile bootstrap over the photos of that class, times its samples",
}
"""How the 95 % interval of a score is made."""


def estimate(keys: Iterable[Key], evidence: Mapping[GridRun, Evidence], bootstrap: Bootstrap) -> dict[Key, Interval]:
    """Return value and interval, in the paper's unit, of every key whose runs were all made.

    Args:
        keys: What to estimate.
        evidence: Answers by run.
        bootstrap: How to resample photos.

    Raises:
        EvaluationError: If runs that are averaged were judged on different samples.
    """
    wanted = [key for key in dict.fromkeys(keys) if all(run in evidence for run in key.runs)]
    changes = [key for key in wanted if key.measure.score == "change"]
    found = (
        _f1(wanted, evidence, bootstrap) | _changes(changes, evidence, bootstrap) | _shares(wanted, evidence, bootstrap)
    )
    return {key: _scaled(found[key], SCALE[key.measure.score]) for key in wanted if key in found}


def _scaled(interval: Interval, scale: float) -> Interval:
    return Interval(*(scale * value for value in interval))


def _f1(keys: Sequence[Key], evidence: Mapping[GridRun, Evidence], bootstrap: Bootstrap) -> dict[Key, Interval]:
    found: dict[Key, Interval] = {}
    for run in dict.fromkeys(key.runs[0] for key in keys if key.measure.score in {"macro_f1", "ambiguous_f1"}):
        seen = evidence[run]
        macro, pair = f1_intervals(seen.targets, seen.predictions, seen.photo_ids, seen.pair, bootstrap)
        found[Key((run,), Measure("macro_f1"))] = macro
        if pair is not None:
            found[Key((run,), Measure("ambiguous_f1"))] = pair
    return found


def _shares(keys: Iterable[Key], evidence: Mapping[GridRun, Evidence], bootstrap: Bootstrap) -> dict[Key, Interval]:
    found = {}
    for key in keys:
        if key.measure.score in {"top1", "count"}:
            seen, cell = evidence[key.runs[0]], key.measure.cell
            interval = _count(cell, seen, bootstrap) if cell else _share(key.measure, seen, bootstrap)
            if interval is not None:
                found[key] = interval
    return found


def _share(measure: Measure, seen: Evidence, bootstrap: Bootstrap) -> Interval | None:
    answers = seen.answers(measure.perturbation)
    return None if answers is None else share_interval(answers == seen.targets, seen.photo_ids, bootstrap)


def _count(cell: PairCell, seen: Evidence, bootstrap: Bootstrap) -> Interval | None:
    if seen.pair is None:
        return None
    truth, answer = (seen.pair[place] for place in cell)
    rows = np.flatnonzero(seen.targets == truth)
    photo_ids = [seen.photo_ids[row] for row in rows]
    return _scaled(share_interval(seen.predictions[rows] == answer, photo_ids, bootstrap), float(len(rows)))


def _changes(keys: Sequence[Key], evidence: Mapping[GridRun, Evidence], bootstrap: Bootstrap) -> dict[Key, Interval]:
    """Return mean changes; all are drawn together, so that means over runs are paired too."""
    columns: dict[Key, Float64[np.ndarray, " N"]] = {}
    for key in keys:
        mean = mean_over(key.runs, _changes_of(key, evidence))
        if mean is not None:
            columns[key] = mean
    if not columns:
        return {}
    runs = [run for key in columns for run in key.runs]
    photo_ids = evidence[runs[0]].photo_ids
    if any(evidence[run].sample_ids != evidence[runs[0]].sample_ids for run in runs):
        raise EvaluationError(
            "runs of one class set were judged on different samples; run `dvc repro evaluate perturb`"
        )
    intervals = mean_intervals(np.column_stack(list(columns.values())), photo_ids, bootstrap)
    return dict(zip(columns, intervals, strict=True))


def _changes_of(key: Key, evidence: Mapping[GridRun, Evidence]) -> dict[GridRun, Float64[np.ndarray, " N"]]:
    """Return by run and sample 1 for an answer that a perturbation makes right, -1 for one that it makes wrong."""
    changes = {}
    for run in key.runs:
        seen = evidence[run]
        answers = seen.answers(key.measure.perturbation)
        if answers is not None:
            right = [(predictions == seen.targets).astype(np.float64) for predictions in (seen.predictions, answers)]
            changes[run] = right[1] - right[0]
    return changes


def deviation_of(key: Key, evidence: Mapping[GridRun, Evidence]) -> str:
    """Say how our perturbation differs from the paper's of that name; empty where it does not, or there is none."""
    perturbation, made = key.measure.perturbation, [evidence[run] for run in key.runs if run in evidence]
    found = (seen.perturbed.get(perturbation) for seen in made) if perturbation else ()
    return next((answers.deviation for answers in found if answers and answers.deviation), "")


def samples_of(key: Key, evidence: Mapping[GridRun, Evidence]) -> int | None:
    """Return the number of samples behind a count of ours; None for what is no count or was not made."""
    seen, cell = evidence.get(key.runs[0]), key.measure.cell
    if cell is None or seen is None or seen.pair is None:
        return None
    return int((seen.targets == seen.pair[cell.truth]).sum())
