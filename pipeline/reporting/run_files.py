"""Where the results of runs lie, and how they are read."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.predictions import PredictionTable, read_predictions
from pipeline.reporting.evidence import Evidence, deviations_of, gather, read_disturbed
from pipeline.reporting.grid import GridRun, in_paper_order
from pipeline.reporting.results import (
    ClassScore,
    Epoch,
    EvaluationMetrics,
    PerturbationMetrics,
    RunRecord,
    read_class_scores,
    read_history,
    read_record,
)

NOT_PERTURBED = PerturbationMetrics(entries=(), conventions={})


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Folders with one folder a run; every method raises ManifestError for an absent or damaged file."""

    runs: Path
    """Outputs of stage `train`."""
    evaluations: Path
    """Outputs of stage `evaluate`."""
    perturbations: Path
    """Outputs of stage `perturb`."""

    def record(self, run: str) -> RunRecord:
        """Read a run's card."""
        return read_record(RunRecord, self.runs / run / "run.json", f"train@{run}")

    def history(self, run: str) -> tuple[Epoch, ...]:
        """Read a run's epochs."""
        return read_history(self.runs / run / "history.csv", f"train@{run}")

    def metrics(self, run: str) -> EvaluationMetrics:
        """Read what `evaluate` says."""
        return read_record(EvaluationMetrics, self.evaluations / run / "metrics.json", f"evaluate@{run}")

    def predictions(self, run: str) -> PredictionTable:
        """Read what a run answers."""
        return read_predictions(self.evaluations / run / "predictions.parquet")

    def class_scores(self, run: str) -> dict[str, ClassScore]:
        """Read F1 by category."""
        return read_class_scores(self.evaluations / run / "per_class.csv", f"evaluate@{run}")

    def disturbed(self, run: str, *, required: bool = True) -> PerturbationMetrics:
        """Read what `perturb` says; unless it is required, a run that was not perturbed has no entries."""
        path = self.perturbations / run / "metrics.json"
        if not required and not path.exists():
            return NOT_PERTURBED
        return read_record(PerturbationMetrics, path, f"perturb@{run}")

    def evidence(self, run: str, table: PredictionTable, ambiguous: Collection[str], *, perturbed: bool) -> Evidence:
        """Join the answers of a run, plain and disturbed.

        Args:
            run: Name of the run.
            table: Its predictions.
            ambiguous: Names of the pair.
            perturbed: Whether stage `perturb` was run for it.
        """
        entries = self.disturbed(run).entries if perturbed else ()
        disturbed = read_disturbed(self.perturbations / run, entries, table.sample_ids) if entries else {}
        deviations = deviations_of(entries, self.record(run).image_size) if entries else {}
        return gather(table, tuple(ambiguous), disturbed, deviations)

    def made(self) -> tuple[GridRun, ...]:
        """Return the runs that were trained and evaluated, the paper's first and in its order."""
        return in_paper_order(path.parent.name for path in self.evaluations.glob("*/metrics.json"))
