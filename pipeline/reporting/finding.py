"""The main finding: one backbone alone on the ROI against the same backbone in both branches, sample by sample."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation.bootstrap import Bootstrap, Interval, holm, paired_differences, share_interval, sign_flip_p
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.run_name import ABSENT, FUSIONS
from pipeline.reporting.grid import ALL, KINDS, PROPOSED, GridRun, name_of
from pipeline.reporting.results import RunRecord
from pipeline.reporting.summary import Ends, StudySummary
from pipeline.runtime.console import progress
from pipeline.runtime.errors import counted

Correctness: TypeAlias = Mapping[str, bool]  # whether a run predicts a sample correctly, by sample_id

Direction: TypeAlias = Literal["helps", "harms", "undecided"]  # what the surroundings do, as far as numbers show

EVEN = 0.5
LEVEL = 0.05  # of any error among all comparisons
NO_COMPARISON = "Not run: whether the surroundings help"
NO_COMPARISON_HINT = (
    "That takes one backbone trained twice, on the ROI alone and in both branches, for instance the runs "
    "mobilenetv2+none-all and mobilenetv2+mobilenetv2-all; these are not among the runs of this report."
)


class CorrectCount(NamedTuple):
    """Correct predictions of one run among its samples."""

    num_correct: int
    samples: int
    interval: Ends  # 95 % interval of the share over photos

    @property
    def share(self) -> float:
        """Share of correct predictions in [0, 1]; 0 without samples."""
        return self.num_correct / self.samples if self.samples else 0.0


class PairedRuns(NamedTuple):
    """The predictions of an ROI-only and a two-branch run for the same samples."""

    runs: tuple[GridRun, GridRun]
    single: PredictionTable
    double: PredictionTable
    temperatures: tuple[float, float]  # divisors of the logits of each before the softmax


class RunComparison(NamedTuple):
    """Correct predictions of two paired runs on the same samples."""

    single: GridRun
    double: GridRun
    single_correct: CorrectCount
    double_correct: CorrectCount
    only_double: tuple[str, ...]
    """Samples that only the two-branch run predicts correctly; `only_single` those that only the other does."""
    only_single: tuple[str, ...]
    preference: Ends  # 95 % interval over photos of the two-branch run's share of samples that exactly one gets right
    p_value: float  # of no difference in correct predictions; see `sign_flip_p`


class Finding(NamedTuple):
    """The main finding, and which samples it is about."""

    scope: str
    sentences: tuple[str, ...]
    comparisons: tuple[RunComparison, ...]
    f1_differences: tuple[Interval, ...]  # by comparison: F1 of two branches minus F1 of ROI only


def direction(gain: float, p_value: float) -> Direction:
    """Return what a gain shows at a level of 5 %; `p_value` is adjusted for all comparisons of its table."""
    return "undecided" if p_value > LEVEL else "helps" if gain > 0 else "harms"


def pairings(runs: Collection[GridRun], *, fused: bool = False) -> tuple[tuple[GridRun, GridRun], ...]:
    """Return (ROI only, two branches) for every backbone that was trained both ways, the proposed one first.

    `fused` adds (ROI only, one backbone on photo and mask).
    """
    doubles = sorted(
        (run for run in runs if run.roi == run.extra_roi and run.classes == ALL), key=lambda run: run != PROPOSED
    )
    if fused:
        doubles += [run for run in runs if run.extra_roi in FUSIONS and run.classes == ALL]
    both = ((GridRun(run.roi, ABSENT, ALL), run) for run in doubles)
    return tuple((single, double) for single, double in both if single in runs)


def pair_runs(tables: Mapping[GridRun, PredictionTable], records: Mapping[str, RunRecord]) -> tuple[PairedRuns, ...]:
    """Join the predictions of every pairing of `tables`; `records` are by name of the run."""
    found = []
    for single, double in pairings(tables):
        first, second = (records[run.name].calibration.temperature for run in (single, double))
        found.append(PairedRuns((single, double), tables[single], tables[double], (first, second)))
    return tuple(found)


def compare(
    runs: tuple[GridRun, GridRun], single: Correctness, double: Correctness, bootstrap: Bootstrap
) -> RunComparison:
    """Compare an ROI-only with a two-branch run, sample by sample."""

    def count(correctness: Correctness) -> CorrectCount:
        correct = np.array(list(correctness.values()), np.bool_)
        photo_ids = [photo_id_of(sample_id) for sample_id in correctness]
        return CorrectCount(int(correct.sum()), len(correct), share_interval(correct, photo_ids, bootstrap)[1:])

    change = np.array([int(correct) - int(single[i]) for i, correct in double.items()], np.int64)
    return RunComparison(
        *runs,
        count(single),
        count(double),
        only_double=only_correct(double, single),
        only_single=only_correct(single, double),
        preference=count({i: correct for i, correct in double.items() if correct != single[i]}).interval,
        p_value=sign_flip_p(change, [photo_id_of(sample_id) for sample_id in double]),
    )


def only_correct(one: Correctness, other: Correctness) -> tuple[str, ...]:
    """Return the samples that only the first of two runs predicts correctly, in its order."""
    return tuple(sample_id for sample_id, correct in one.items() if correct and not other[sample_id])


def correctness_of(table: PredictionTable, ambiguous: Sequence[str]) -> Correctness:
    """Return which samples of the ambiguous pair are predicted correctly; of all samples where there is no pair."""
    pair = table.pair(ambiguous)
    rows = np.flatnonzero(np.isin(table.targets, pair)).tolist() if pair else range(len(table.targets))
    return {table.sample_ids[row]: bool(table.predictions[row] == table.targets[row]) for row in rows}


def conclusion(comparison: RunComparison) -> tuple[str, str]:
    """Return what the counts allow to say, in short, and why."""
    single, double = comparison.single_correct.interval, comparison.double_correct.interval
    if double[0] > single[1] or single[0] > double[1]:
        return f"The surroundings {'help' if double[0] > single[1] else 'hurt'}", "The intervals do not overlap."
    low, high = comparison.preference
    split = "The intervals overlap; the samples that only one of the two gets right split "
    split += f"{len(comparison.only_double)} to {len(comparison.only_single)}"
    if low > EVEN:
        return "The surroundings help a little", f"{split} in favour of two branches."
    if high < EVEN:
        return "The surroundings hurt a little", f"{split} against two branches."
    return "No effect of the surroundings is shown", f"{split}, which chance explains."


def count_text(count: CorrectCount) -> str:
    """Return for instance `57 of 72 (79.2 %, 95 % interval 68 to 87 %)`."""
    low, high = (f"{100 * bound:.0f}" for bound in count.interval)
    return f"{count.num_correct} of {count.samples} ({100 * count.share:.1f} %, 95 % interval {low} to {high} %)"


def backbones_text(comparisons: Sequence[RunComparison]) -> str:
    """Return how many backbones go which way, at a level of 5 % for all comparisons together."""
    if len(comparisons) == 1:
        return "One backbone was trained both ways; whether others behave alike was not run."
    adjusted = holm(np.array([[each.p_value] for each in comparisons]))[:, 0].tolist()
    gains = [float(len(each.only_double) - len(each.only_single)) for each in comparisons]
    found = list(map(direction, gains, adjusted))
    ahead, behind, undecided = (found.count(said) for said in get_args(Direction))
    return (
        f"Of {len(comparisons)} backbones trained both ways, two branches are clearly ahead for {ahead}, "
        f"clearly behind for {behind}, and undecided for {undecided} (sign-flip test over photos, "
        f"Holm's correction for {len(comparisons)} comparisons, 5 %)."
    )


def ranges_text(summary: StudySummary) -> str:
    """Return the lowest and highest F1 of each kind of run, on the ambiguous pair where there is one."""
    has_pair = any(result.ambiguous_f1 is not None for result in summary.runs.values())
    texts = []
    for kind in KINDS[:3]:
        results = (result for result in summary.runs.values() if result.run.kind == kind)
        found = (result.ambiguous_f1 if has_pair else result.macro_f1 for result in results)
        values = [value for value in found if value is not None]
        if values:
            low, high = f"{min(values):.2f}", f"{max(values):.2f}"
            span = low if low == high else f"{low} to {high}"
            texts.append(f"{kind} {span} ({counted(len(values), 'run')})")
    return f"{'F1 of the pair' if has_pair else 'Macro F1'} over all runs: {'; '.join(texts)}."


def scope_of(ambiguous: Sequence[str]) -> str:
    """Return which samples a comparison is about: the ambiguous pair, or without one the whole test split."""
    return f"the ambiguous pair ({', '.join(ambiguous)})" if ambiguous else "the whole test split"


def build_finding(
    pairs: Sequence[PairedRuns], summary: StudySummary, ambiguous: tuple[str, ...], bootstrap: Bootstrap
) -> Finding:
    """Compare paired runs on the ambiguous pair, or on all samples where there is none, and say what they show.

    Raises:
        EvaluationError: If paired runs were evaluated on different samples.
    """
    comparisons, f1_differences = [], []
    for pair in progress(pairs, total=len(pairs), what="comparisons", unit="backbone"):
        single, double = (correctness_of(table, ambiguous) for table in (pair.single, pair.double))
        comparisons.append(compare(pair.runs, single, double, bootstrap))
        classes = pair.double.pair(ambiguous)
        differences = paired_differences(pair.single, pair.double, classes, bootstrap)
        f1_differences.append(differences["ambiguous_f1" if classes else "macro_f1"])
    scope = scope_of(ambiguous)
    if not comparisons:
        return Finding(scope, (NO_COMPARISON, NO_COMPARISON_HINT, ranges_text(summary)), (), ())
    first = comparisons[0]
    backbone, (short, reason) = name_of(first.double.roi), conclusion(first)
    counts = (
        f"On {scope}, {backbone} that sees the ROI alone is right in {count_text(first.single_correct)}; "
        f"with a second {backbone} that sees the surroundings in {count_text(first.double_correct)}. {reason}"
    )
    task = f"to tell {' from '.join(ambiguous)}." if ambiguous else "on the whole test split."
    sentences = (f"{short} {task}", counts, backbones_text(comparisons), ranges_text(summary))
    return Finding(scope, sentences, tuple(comparisons), tuple(f1_differences))
