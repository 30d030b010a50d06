"""The main finding, in words that say no more than the counts do."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation.bootstrap import Bootstrap, Interval, paired_differences, share_interval
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.run_name import ABSENT
from pipeline.reporting.grid import ALL, KINDS, PAPER_NAMES, GridRun, Kind
from pipeline.reporting.samples import RunAnswer, answer
from pipeline.reporting.summary import Ends, StudySummary
from pipeline.runtime.errors import counted

Answers: TypeAlias = Mapping[str, bool]
"""Whether a run is right, by sample_id."""

PROPOSED = GridRun("deit_distilled", "deit_distilled", ALL)
"""The paper's best model; fixed before any result is known, so that no lucky run is picked."""
EVEN = 0.5
NO_COMPARISON = "Not run: whether the surroundings help"
NO_COMPARISON_HINT = (
    "That takes one backbone trained twice, on the ROI alone and in both branches, for instance the runs "
    "mobilenetv2+none-all and mobilenetv2+mobilenetv2-all; these are not among the runs of this report."
)
OVERLAP = "The intervals overlap; the samples that only one of the two gets right split"


class RightCount(NamedTuple):
    """Right answers of one run."""

    right: int
    samples: int
    interval: Ends
    """95 % interval of the share over photos."""

    @property
    def share(self) -> float:
        """Share of right answers in [0, 1]; 0 without samples."""
        return self.right / self.samples if self.samples else 0.0


class Comparison(NamedTuple):
    """One backbone alone on the ROI against the same backbone on both views, on the same samples."""

    single: GridRun
    double: GridRun
    single_tally: RightCount
    double_tally: RightCount
    only_double: tuple[str, ...]
    """Samples that only the two-branch run gets right."""
    only_single: tuple[str, ...]
    """Samples that only the ROI-only run gets right."""
    preference: Ends
    """95 % interval over photos of the two-branch run's share of the samples that exactly one of the two gets right."""


class Finding(NamedTuple):
    """The main finding."""

    scope: str
    """Which samples it is about."""
    sentences: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    f1_differences: tuple[tuple[float, float, float], ...]
    """By comparison: F1 of two branches minus F1 of ROI only, with its 95 % interval."""


def pairings(runs: Collection[GridRun]) -> tuple[tuple[GridRun, GridRun], ...]:
    """Return (ROI only, two branches) for every backbone that was trained both ways, the proposed one first."""
    doubles = [run for run in runs if run.roi == run.extra_roi and run.classes == ALL]
    doubles.sort(key=lambda run: run != PROPOSED)
    both = ((GridRun(run.roi, ABSENT, ALL), run) for run in doubles)
    return tuple((single, double) for single, double in both if single in runs)


def compare(runs: tuple[GridRun, GridRun], single: Answers, double: Answers, bootstrap: Bootstrap) -> Comparison:
    """Compare two runs sample by sample.

    Args:
        runs: ROI-only run and two-branch run.
        single: Answers of the first.
        double: Answers of the second, to the same samples.
        bootstrap: How to resample photos.
    """
    only_double = tuple(i for i, right in double.items() if right and not single[i])
    only_single = tuple(i for i, right in double.items() if single[i] and not right)
    return Comparison(
        *runs,
        _tally(single, bootstrap),
        _tally(double, bootstrap),
        only_double,
        only_single,
        _tally({i: right for i, right in double.items() if right != single[i]}, bootstrap).interval,
    )


def _tally(answers: Answers, bootstrap: Bootstrap) -> RightCount:
    right = np.array(list(answers.values()), np.bool_)
    return RightCount(
        int(right.sum()), len(right), share_interval(right, list(map(photo_id_of, answers)), bootstrap)[1:]
    )


def verdict(comparison: Comparison) -> tuple[str, str]:
    """Return what the counts allow to say, in short, and why."""
    single, double = comparison.single_tally, comparison.double_tally
    low, high = comparison.preference
    if double.interval[0] > single.interval[1]:
        return "The surroundings help", "The intervals do not overlap."
    if single.interval[0] > double.interval[1]:
        return "The surroundings hurt", "The intervals do not overlap."
    split = f"{len(comparison.only_double)} to {len(comparison.only_single)}"
    if low > EVEN:
        return "The surroundings help a little", f"{OVERLAP} {split} in favour of two branches."
    if high < EVEN:
        return "The surroundings hurt a little", f"{OVERLAP} {split} against two branches."
    return "No effect of the surroundings is shown", f"{OVERLAP} {split}, which chance explains."


def tally_text(tally: RightCount) -> str:
    """Return for instance `57 of 72 (79.2 %, 95 % interval 68 to 87 %)`."""
    low, high = (f"{100 * bound:.0f}" for bound in tally.interval)
    return f"{tally.right} of {tally.samples} ({100 * tally.share:.1f} %, 95 % interval {low} to {high} %)"


def agreement(comparisons: Sequence[Comparison]) -> str:
    """Return how many backbones go which way; differences count only where the intervals are apart."""
    ahead = sum(c.double_tally.interval[0] > c.single_tally.interval[1] for c in comparisons)
    behind = sum(c.single_tally.interval[0] > c.double_tally.interval[1] for c in comparisons)
    if len(comparisons) == 1:
        return "One backbone was trained both ways; whether others behave alike was not run."
    return (
        f"Of {len(comparisons)} backbones trained both ways, two branches are clearly ahead for {ahead}, clearly "
        f"behind for {behind}, and undecided for {len(comparisons) - ahead - behind}."
    )


def ranges(summary: StudySummary) -> str:
    """Return the lowest and highest F1 of each kind of run, on the ambiguous pair where there is one."""
    has_pair = any(result.ambiguous_f1 is not None for result in summary.runs.values())
    texts = [_range(summary, kind, "ambiguous_f1" if has_pair else "macro_f1") for kind in KINDS[:3]]
    what = "F1 of the pair" if has_pair else "Macro F1"
    return f"{what} over all runs: {'; '.join(filter(None, texts))}."


def _range(summary: StudySummary, kind: Kind, column: str) -> str:
    found = [getattr(result, column) for result in summary.runs.values() if result.run.kind == kind]
    values = [value for value in found if value is not None]
    if not values:
        return ""
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    runs = f"{counted(len(values), 'run')}"
    return f"{kind} {low} ({runs})" if low == high else f"{kind} {low} to {high} ({runs})"


def find(
    comparisons: Sequence[Comparison],
    f1_differences: Sequence[tuple[float, float, float]],
    summary: StudySummary,
    ambiguous: Sequence[str],
) -> Finding:
    """Put the main finding into words.

    Args:
        comparisons: The proposed backbone first; none where no backbone was trained both ways.
        f1_differences: Gains of each with their intervals.
        summary: All runs.
        ambiguous: Names of the pair; empty where the data set has none.
    """
    scope = f"the ambiguous pair ({', '.join(ambiguous)})" if ambiguous else "the whole test split"
    if not comparisons:
        return Finding(scope, (NO_COMPARISON, NO_COMPARISON_HINT, ranges(summary)), (), ())
    first = comparisons[0]
    backbone = PAPER_NAMES.get(first.double.roi, first.double.roi)
    short, reason = verdict(first)
    counts = (
        f"On {scope}, {backbone} that sees the ROI alone is right in {tally_text(first.single_tally)}; "
        f"with a second {backbone} that sees the surroundings in {tally_text(first.double_tally)}."
    )
    task = f" to tell {' from '.join(ambiguous)}." if ambiguous else " on the whole test split."
    sentences = (short + task, f"{counts} {reason}", agreement(comparisons), ranges(summary))
    return Finding(scope, sentences, tuple(comparisons), tuple(f1_differences))


# A backbone alone on the ROI against the same backbone in both branches, sample by sample.


class PairedRuns(NamedTuple):
    """The predictions of two runs for the same samples."""

    runs: tuple[GridRun, GridRun]
    """ROI only, two branches."""
    single: PredictionTable
    double: PredictionTable
    temperatures: tuple[float, float]
    """What the logits of each are divided by before the softmax."""


def compare_pair(duel: PairedRuns, ambiguous: tuple[str, ...], seed: int) -> Comparison:
    """Compare two runs on the ambiguous pair, or on all samples where there is no pair."""
    single, double = (right_answers(table, ambiguous) for table in (duel.single, duel.double))
    return compare(duel.runs, single, double, Bootstrap(seed))


def right_answers(table: PredictionTable, ambiguous: tuple[str, ...]) -> Answers:
    """Return whether a run is right, for the samples of the pair, or for all where there is no pair."""
    pair = table.pair(ambiguous)
    rows = np.flatnonzero(np.isin(table.targets, pair)).tolist() if pair else range(len(table.targets))
    return {table.sample_ids[row]: bool(table.predictions[row] == table.targets[row]) for row in rows}


def gain(duel: PairedRuns, ambiguous: tuple[str, ...], seed: int) -> Interval:
    """Return F1 of two branches minus F1 of ROI only, on the pair or on all, with its interval over photos.

    Raises:
        EvaluationError: If the runs were evaluated on different samples.
    """
    pair = duel.double.pair(ambiguous)
    found = paired_differences(duel.single, duel.double, pair, Bootstrap(seed))
    return found["ambiguous_f1" if pair else "macro_f1"]


def category_of(duel: PairedRuns) -> dict[str, str]:
    """Return the category name of every sample."""
    table = duel.double
    return {
        sample_id: table.class_names[target]
        for sample_id, target in zip(table.sample_ids, table.targets.tolist(), strict=True)
    }


def answers_of(duel: PairedRuns, sample_id: str) -> tuple[RunAnswer, ...]:
    """Return what both runs say about one sample."""
    answers = []
    for run, table, temperature in zip(duel.runs, (duel.single, duel.double), duel.temperatures, strict=True):
        row = table.sample_ids.index(sample_id)
        logits = table.logits[row : row + 1] / temperature
        answers.append(answer(run.label, int(table.targets[row]), logits, table.class_names))
    return tuple(answers)
