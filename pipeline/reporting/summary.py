"""All results of one run as one record, and the variant's as one flat row."""

from collections.abc import Sequence
from statistics import fmean
from typing import TypeAlias, get_args

from pipeline.evaluation.metrics import DIGITS, EpochRecord
from pipeline.evaluation.perturbation import Target
from pipeline.params.base import Section, dvc_command
from pipeline.reporting.grid import GridRun
from pipeline.reporting.results import EvaluationMetrics, PerturbationMetrics
from pipeline.runtime.errors import ManifestError

SCHEMA_VERSION = 1

Ends: TypeAlias = tuple[float, float]  # lower and upper bound, in [0, 1]


class PermutationScores(Section):
    """Accuracy with the patches of a branch's input shuffled: mean over the seeds, worst and best seed."""

    target: Target
    seeds: int
    top1: float
    lowest_top1: float
    highest_top1: float
    change_top1: float  # mean difference to the plain pass; negative is worse


class TranslocationScores(Section):
    """Accuracy with a moved picture; see `PerturbationEntry`."""

    target: Target
    dx: int
    dy: int
    top1: float
    change_top1: float
    photo_kept: float | None
    roi_kept: float | None


class RunSummary(Section):
    """One run; names and conventions of the numbers are those of `evaluate`."""

    roi: str
    extra_roi: str
    classes: str
    epoch: int
    samples: int
    top1: float
    top1_interval: Ends | None
    macro_f1: float
    macro_f1_all: float
    ambiguous_f1: float | None
    ambiguous_samples: int
    ambiguous_top1: float | None
    ambiguous_top1_interval: Ends | None
    ece: float
    majority_rate: float
    train_loss: float  # mean cross-entropy in the kept epoch
    permutations: tuple[PermutationScores, ...]
    translocations: tuple[TranslocationScores, ...]

    @property
    def run(self) -> GridRun:
        """Name and kind of the run."""
        return GridRun(self.roi, self.extra_roi, self.classes)


class StudySummary(Section):
    """Contents of `results/summary.json`."""

    schema_version: int
    variant: str | None  # name of the variant's run; None in a report of chosen runs
    conventions: dict[str, str]
    runs: dict[str, RunSummary]  # by name: runs of the paper in its order, then the variant unless it is one of them


def summarise_run(
    run: GridRun, metrics: EvaluationMetrics, perturbations: PerturbationMetrics, history: Sequence[EpochRecord]
) -> RunSummary:
    """Join the results of stages `evaluate`, `perturb` and `train` for one run.

    Raises:
        ManifestError: If `history` lacks the epoch that was evaluated.
    """
    kept = next((epoch for epoch in history if epoch.epoch == metrics.epoch), None)
    if kept is None:
        lacking = f"{run.name}: epoch {metrics.epoch} was evaluated, which its history.csv lacks"
        raise ManifestError(f"{lacking}; run {dvc_command(f'evaluate@{run.name}')}")
    permutations = []
    for target in get_args(Target):
        entries = [e for e in perturbations.entries if e.kind == "permutation" and e.target == target]
        if entries:
            means = {n: round(fmean(getattr(e, n) for e in entries), DIGITS) for n in ("top1", "change_top1")}
            ends = {"lowest_top1": min(e.top1 for e in entries), "highest_top1": max(e.top1 for e in entries)}
            permutations.append(PermutationScores(target=target, seeds=len(entries), **means, **ends))
    moves = (entry for entry in perturbations.entries if entry.kind == "translocation")
    fields = set(TranslocationScores.model_fields)
    names = EvaluationMetrics.model_fields.keys() & RunSummary.model_fields.keys()
    return RunSummary(
        **run._asdict(),
        **{name: getattr(metrics, name) for name in names},
        train_loss=round(kept.train_loss, DIGITS),
        permutations=tuple(permutations),
        translocations=tuple(TranslocationScores.model_validate(move.model_dump(include=fields)) for move in moves),
    )


def variant_row(variant: GridRun, summary: RunSummary) -> dict[str, str | float | None]:
    """Return one flat row whose keys are the same for every variant; None where a number does not apply.

    Changes are of top-1, negative is worse: means over permutation seeds and over translocations by an offset.
    """
    permuted = {p.target: p.change_top1 for p in summary.permutations}
    moved = [t.change_top1 for t in summary.translocations if (t.dx, t.dy) != (0, 0)]
    return {
        "run": variant.name,
        **{name: getattr(summary, name) for name in ("top1", "macro_f1", "ambiguous_f1", "ece")},
        **{f"permutation_{target}": permuted.get(target) for target in ("roi", "extra_roi", "both")},
        "translocation": round(fmean(moved), DIGITS) if moved else None,
    }
