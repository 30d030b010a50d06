"""Collect the results of the variant and of the paper's runs into the two files that git tracks."""

import json
from pathlib import Path

from pipeline.console import progress
from pipeline.reporting.grid import GridRun, parse_run, runs_with
from pipeline.reporting.results import EvaluationMetrics, PerturbationMetrics, read_history, read_record
from pipeline.reporting.summary import SCHEMA_VERSION, RunSummary, Summary, summarise_run, variant_row


def summarise(*, variant: str, evaluations: Path, perturbations: Path, runs: Path, results: Path) -> None:
    """Write `results/variant.json` (one flat row) and `results/summary.json` (all runs).

    Runs are looked up by name; whatever else lies in the folders, for instance earlier variants, is not read.

    Args:
        variant: Name of the variant's run.
        evaluations: Outputs of stage `evaluate`, a folder a run.
        perturbations: Outputs of stage `perturb`.
        runs: Outputs of stage `train`.
        results: Folder to write to; other files in it stay.

    Raises:
        ManifestError: If a run's results are absent or damaged; says which stage to run.
        ParamsError: If `variant` is no run name.
    """
    chosen = parse_run(variant)
    every = runs_with(chosen)
    summaries = {
        run.name: _summarise(run, evaluations, perturbations, runs)
        for run in progress(every, total=len(every), what="summary", unit="run")
    }
    conventions = _metrics(chosen, evaluations).conventions | _disturbed(chosen, perturbations).conventions
    whole = Summary(schema_version=SCHEMA_VERSION, variant=variant, conventions=conventions, runs=summaries)
    results.mkdir(parents=True, exist_ok=True)
    row = json.dumps(variant_row(chosen, summaries[variant]), indent=1)
    (results / "variant.json").write_text(row + "\n", encoding="utf-8")
    (results / "summary.json").write_text(whole.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _summarise(run: GridRun, evaluations: Path, perturbations: Path, runs: Path) -> RunSummary:
    return summarise_run(
        run,
        _metrics(run, evaluations),
        _disturbed(run, perturbations),
        read_history(runs / run.name / "history.csv", f"train@{run.name}"),
    )


def _metrics(run: GridRun, evaluations: Path) -> EvaluationMetrics:
    return read_record(EvaluationMetrics, evaluations / run.name / "metrics.json", f"evaluate@{run.name}")


def _disturbed(run: GridRun, perturbations: Path) -> PerturbationMetrics:
    return read_record(PerturbationMetrics, perturbations / run.name / "metrics.json", f"perturb@{run.name}")
