"""Runs under several seeds: mean and spread of each, and paired differences between them.

A difference is paired by seed and by test photo. Its interval covers the variation over both: each resample of the
photos adds the standard error of the mean over seeds times a draw from Student's t with one degree of freedom less than
there are seeds. Few seeds make wide intervals: the 95 % quantile of |t| is 12.7 with two seeds and 2.8 with five.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64

from pipeline.evaluation.bootstrap import SCORES, Bootstrap, check_paired, score_resamples
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.base import Section

DIGITS = 6

Tables: TypeAlias = Mapping[str, Sequence[PredictionTable]]
"""Predictions by run, each with one table a seed, in the order of the seeds."""


class SeedEstimate(Section):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class ScoreSpread(Section):
    """One score of one run over the seeds."""

    run: str
    """Name of the run."""
    score: str
    """`top1`, `macro_f1` or `ambiguous_f1`."""
    mean: float
    """Over the seeds, in [0, 1]."""
    deviation: float
    """Standard deviation over the seeds, with one degree of freedom less than there are seeds."""
    by_seed: tuple[float, ...]
    """In the order of the seeds."""


class SeedDifference(Section):
    """One score of two runs, seed by seed: `other` minus `run`."""

    run: str
    """Name of the run that is subtracted."""
    other: str
    """Name of the run it is subtracted from."""
    score: str
    """`top1`, `macro_f1` or `ambiguous_f1`."""
    difference: SeedEstimate
    """Mean over the seeds with its 95 % interval over seeds and photos, in [-1, 1]."""
    deviation: float
    """Standard deviation of the differences over the seeds."""
    by_seed: tuple[float, ...]
    """In the order of the seeds."""


class Repetitions(Section):
    """`data/repetitions.json`."""

    seeds: tuple[int, ...]
    """The runs' own seed, then those of the repetitions; empty without repetitions."""
    photos: int
    """Test photos, which are resampled."""
    samples: int
    """Test samples."""
    spreads: tuple[ScoreSpread, ...]
    """By run, and by score within."""
    contrasts: tuple[SeedDifference, ...]
    """By pair of runs of one class set, and by score within."""


class _SeedScores(NamedTuple):
    """Scores of one run."""

    plain: Float64[np.ndarray, "S M"]
    """Of the samples as they are, by seed."""
    drawn: Float64[np.ndarray, "S R M"]
    """Of every resample of the photos, by seed."""


def empty_repetitions() -> Repetitions:
    """Return the result of a study without further seeds."""
    return Repetitions(seeds=(), photos=0, samples=0, spreads=(), contrasts=())


def compare_seeds(seeds: Sequence[int], tables: Tables, ambiguous: Sequence[str], bootstrap: Bootstrap) -> Repetitions:
    """Compare runs that were trained under the same seeds.

    Args:
        seeds: At least two.
        tables: Predictions; runs of several class sets may be among them.
        ambiguous: Names of the ambiguous pair.
        bootstrap: How photos are resampled; its seed is also that of the draws for the seeds.

    Raises:
        EvaluationError: If the tables of a run, or of runs of one class set, hold different samples or none.
    """
    scored = {run: _score(listed, ambiguous, bootstrap) for run, listed in tables.items()}
    first = next(iter(tables.values()))[0]
    return Repetitions(
        seeds=tuple(seeds),
        photos=len(set(first.photo_ids)),
        samples=len(first.sample_ids),
        spreads=tuple(spread for run, scores in scored.items() for spread in _spreads(run, scores)),
        contrasts=tuple(
            contrast
            for run, other in combinations(tables, 2)
            if tables[run][0].class_names == tables[other][0].class_names
            for contrast in _contrasts((run, other), (scored[run], scored[other]), tables, bootstrap)
        ),
    )


def _score(tables: Sequence[PredictionTable], ambiguous: Sequence[str], bootstrap: Bootstrap) -> _SeedScores:
    first = tables[0]
    for other in tables[1:]:
        check_paired(first, other)
    pair = first.pair(ambiguous)
    found = [score_resamples(t.targets, t.predictions, t.photo_ids, pair, bootstrap) for t in tables]
    return _SeedScores(np.stack([plain for plain, _ in found]), np.stack([drawn for _, drawn in found]))


def _spreads(run: str, scores: _SeedScores) -> Iterator[ScoreSpread]:
    for score, values in zip(SCORES, scores.plain.T, strict=False):
        yield ScoreSpread(
            run=run,
            score=score,
            mean=_rounded(values.mean()),
            deviation=_rounded(values.std(ddof=1)),
            by_seed=tuple(map(_rounded, values)),
        )


def _contrasts(
    names: tuple[str, str], runs: tuple[_SeedScores, _SeedScores], tables: Tables, bootstrap: Bootstrap
) -> Iterator[SeedDifference]:
    check_paired(*(tables[name][0] for name in names))
    plain, drawn = runs[1].plain - runs[0].plain, (runs[1].drawn - runs[0].drawn).mean(axis=0)
    for score, by_seed, resampled in zip(SCORES, plain.T, drawn.T, strict=False):
        yield SeedDifference(
            run=names[0],
            other=names[1],
            score=score,
            difference=_estimate(by_seed, resampled, bootstrap),
            deviation=_rounded(by_seed.std(ddof=1)),
            by_seed=tuple(map(_rounded, by_seed)),
        )


def _estimate(
    by_seed: Float64[np.ndarray, " S"], resampled: Float64[np.ndarray, " R"], bootstrap: Bootstrap
) -> SeedEstimate:
    generator = np.random.default_rng((bootstrap.seed, len(by_seed)))
    errors = generator.standard_t(len(by_seed) - 1, size=len(resampled)) * by_seed.std(ddof=1) / len(by_seed) ** 0.5
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(resampled + errors, [tail, 1 - tail])
    return SeedEstimate(value=_rounded(by_seed.mean()), low=_rounded(low), high=_rounded(high))


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
