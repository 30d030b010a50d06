"""Collect the repetitions that are asked for: mean, spread and paired differences over seeds."""

from pathlib import Path

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.predictions import PredictionTable, read_predictions
from pipeline.evaluation.repetitions import Repetitions, compare_seeds, empty_repetitions
from pipeline.params.base import load_settings
from pipeline.params.stages import RepetitionPlan
from pipeline.runtime.errors import ManifestError

PLAN = "plan.json"
PREDICTIONS = "predictions.parquet"


def collect_repetitions(*, repeats: Path, evaluations: Path, output: Path) -> None:
    """Write `output`, the scores of every repeated run under every seed; nothing to say without `seeds`.

    Repetitions of earlier requests may lie in the folder; what its plan does not name is not read.

    Args:
        repeats: `plan.json`, which says what is asked for, and a folder for each repetition.
        evaluations: Outputs of stage `evaluate`, for the runs' own seed.
        output: File to write.

    Raises:
        EvaluationError: If runs of one class set were judged on different samples.
        ManifestError: If predictions are absent or damaged.
    """
    wanted = load_settings(RepetitionPlan, repeats / PLAN)
    found = _compared(wanted, repeats, evaluations) if wanted.seeds else empty_repetitions()
    found.write(output)


def _compared(wanted: RepetitionPlan, repeats: Path, evaluations: Path) -> Repetitions:
    own, *others = wanted.seeds
    tables = {
        run: [
            read_predictions(evaluations / run / PREDICTIONS),
            *(_repetition(repeats / f"{run}-{seed}") for seed in others),
        ]
        for run in wanted.runs
    }
    return compare_seeds(wanted.seeds, tables, wanted.ambiguous, Bootstrap(own))


def _repetition(folder: Path) -> PredictionTable:
    path = folder / PREDICTIONS
    if not path.exists():
        raise ManifestError(f"{path}: absent; run `dvc repro repeat@{folder.name}`")
    return read_predictions(path)
