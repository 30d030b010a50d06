"""Runs under several seeds: mean and spread of each, and paired differences between them.

A difference is paired by seed and by test photo. Its interval covers the variation over both: each resample of the
photos adds the standard error of the mean over seeds times a draw from Student's t with one degree of freedom less than
there are seeds. Few seeds make wide intervals: the 95 % quantile of |t| is 12.7 with two seeds and 2.8 with five.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float64

from pipeline.evaluation import bootstrap as resampling
from pipeline.evaluation.bootstrap import SCORES, Bootstrap, StoredInterval
from pipeline.evaluation.metrics import DIGITS
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import Section


class ScoreSpread(Section):
    """One score of one run over the seeds."""

    run: str
    score: str  # `top1`, `macro_f1` or `ambiguous_f1`
    mean: float  # over the seeds, in [0, 1]
    deviation: float  # standard deviation over the seeds, with one degree of freedom less than there are seeds
    by_seed: tuple[float, ...]  # in the order of the seeds


class SeedDifference(Section):
    """One score of two runs, seed by seed: `other` minus `run`."""

    run: str
    other: str
    score: str  # `top1`, `macro_f1` or `ambiguous_f1`
    difference: StoredInterval  # mean over the seeds with its 95 % interval over seeds and photos, in [-1, 1]
    deviation: float
    by_seed: tuple[float, ...]  # in the order of the seeds


class Repetitions(Section):
    """`data/repetitions.json`; without further seeds nothing is in it."""

    seeds: tuple[int, ...] = ()  # the runs' own seed, then those of the repetitions; empty without repetitions
    photos: int = 0  # test photos, which are resampled
    samples: int = 0
    spreads: tuple[ScoreSpread, ...] = ()  # by run, and by score within
    contrasts: tuple[SeedDifference, ...] = ()  # by pair of runs of one class set, and by score within


def compare_seeds(
    seeds: Sequence[int],
    tables: Mapping[str, Sequence[PredictionTable]],
    ambiguous: Sequence[str],
    bootstrap: Bootstrap,
) -> Repetitions:
    """Compare runs that were trained under the same seeds.

    Args:
        seeds: At least two.
        tables: By run, one a seed; runs of several class sets may be among them.
        ambiguous: Names of the pair.
        bootstrap: Its seed is also that of the draws for the seeds.

    Raises:
        EvaluationError: If the tables of a run, or of runs of one class set, hold different samples or none.
    """
    spreads, contrasts, scored = list[ScoreSpread](), list[SeedDifference](), {}
    for run, listed in tables.items():
        for table in listed[1:]:
            resampling.check_paired(listed[0], table)
        pair = listed[0].pair(ambiguous)
        found = [resampling.score_resamples(t.targets, t.predictions, t.photo_ids, pair, bootstrap) for t in listed]
        plain, drawn = (np.stack(arrays) for arrays in zip(*found, strict=True))  # (seeds, scores), with resamples
        scored[run] = plain, drawn
        for score, by_seed in zip(SCORES, plain.T, strict=False):
            mean = round(float(by_seed.mean()), DIGITS)
            spreads.append(ScoreSpread(run=run, score=score, mean=mean, **_spread(by_seed)))
    for run, other in combinations(tables, 2):
        if tables[run][0].class_names != tables[other][0].class_names:
            continue
        resampling.check_paired(tables[run][0], tables[other][0])
        plain = scored[other][0] - scored[run][0]
        drawn = (scored[other][1] - scored[run][1]).mean(axis=0)
        for score, by_seed, resampled in zip(SCORES, plain.T, drawn.T, strict=False):
            generator, count = np.random.default_rng((bootstrap.seed, len(by_seed))), len(by_seed)
            errors = generator.standard_t(count - 1, size=len(resampled)) * by_seed.std(ddof=1) / count**0.5
            draws = (resampled + errors)[:, np.newaxis]
            (interval,) = resampling.percentile_intervals(by_seed.mean(keepdims=True), draws, bootstrap)
            named: dict[str, Any] = {"run": run, "other": other, "score": score}
            contrasts.append(SeedDifference(difference=StoredInterval.of(interval), **named, **_spread(by_seed)))
    first = next(iter(tables.values()))[0]
    return Repetitions(
        seeds=tuple(seeds),
        photos=len(set(first.photo_ids)),
        samples=len(first.sample_ids),
        spreads=tuple(spreads),
        contrasts=tuple(contrasts),
    )


def _spread(by_seed: Float64[np.ndarray, " S"]) -> dict[str, Any]:
    return {
        "deviation": round(float(by_seed.std(ddof=1)), DIGITS),
        "by_seed": tuple(round(float(value), DIGITS) for value in by_seed),
    }
