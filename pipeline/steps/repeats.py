"""Collect the repetitions of the plan: mean, spread and paired differences over seeds."""

from itertools import product
from pathlib import Path

from pipeline.evaluation.ambiguous import pair_names
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.predictions import PREDICTIONS, read_predictions
from pipeline.evaluation.repetitions import Repetitions, compare_seeds
from pipeline.params.base import load_settings
from pipeline.params.stages import RepetitionPlan
from pipeline.runtime.errors import ManifestError

PLAN = "plan.json"


def collect_repetitions(*, repeats: Path, evaluations: Path, ambiguous: Path, output: Path) -> None:
    """Write `output`, the scores of every repeated run under every seed; empty without seeds.

    Folders of `repeats` that the plan does not name are not read.

    Raises:
        EvaluationError: If runs of one class set were evaluated on different samples.
        ManifestError: If predictions are absent or damaged.
    """
    plan = load_settings(RepetitionPlan, repeats / PLAN)
    if not plan.seeds:
        Repetitions().write(output)
        return
    own, *others = plan.seeds
    tables = {run: [read_predictions(evaluations / run / PREDICTIONS)] for run in plan.runs}
    for run, seed in product(plan.runs, others):
        path = repeats / f"{run}-{seed}" / PREDICTIONS
        if not path.exists():
            raise ManifestError(f"{path}: absent; run `dvc repro repeat@{path.parent.name}`")
        tables[run].append(read_predictions(path))
    compare_seeds(plan.seeds, tables, pair_names(ambiguous, ()), Bootstrap(own)).write(output)
