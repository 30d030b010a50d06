"""Collect the repetitions of the plan: mean, spread and paired differences over seeds."""

from pathlib import Path

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.predictions import PredictionTable, read_predictions
from pipeline.evaluation.repetitions import compare_seeds, empty_repetitions
from pipeline.params.base import load_settings
from pipeline.params.stages import RepetitionPlan
from pipeline.runtime.errors import ManifestError

PLAN = "plan.json"
PREDICTIONS = "predictions.parquet"


def collect_repetitions(*, repeats: Path, evaluations: Path, output: Path) -> None:
    """Write `output`, the scores of every repeated run under every seed; empty without seeds.

    Args:
        repeats: `plan.json`, and a folder per repetition; those that the plan does not name are not read.
        evaluations: Outputs of stage `evaluate`, for the runs' own seed.
        output: File to write.

    Raises:
        EvaluationError: If runs of one class set were evaluated on different samples.
        ManifestError: If predictions are absent or damaged.
    """
    plan = load_settings(RepetitionPlan, repeats / PLAN)
    if not plan.seeds:
        empty_repetitions().write(output)
        return
    own, *others = plan.seeds
    tables = {
        run: [
            read_predictions(evaluations / run / PREDICTIONS),
            *(_read_repetition(repeats / f"{run}-{seed}") for seed in others),
        ]
        for run in plan.runs
    }
    compare_seeds(plan.seeds, tables, plan.ambiguous, Bootstrap(own)).write(output)


def _read_repetition(folder: Path) -> PredictionTable:
    path = folder / PREDICTIONS
    if not path.exists():
        raise ManifestError(f"{path}: absent; run `dvc repro repeat@{folder.name}`")
    return read_predictions(path)
