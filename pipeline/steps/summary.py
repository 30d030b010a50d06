"""Collect the results of the variant and of the grid's runs into the two files that git tracks."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.reporting.grid import GridRun, runs_with
from pipeline.reporting.results import RunFiles
from pipeline.reporting.summary import SCHEMA_VERSION, StudySummary, summarise_run, variant_row
from pipeline.runtime.console import progress
from pipeline.runtime.errors import ParamsError


def summarise(*, variant: str, evaluations: Path, perturbations: Path, runs: Path, results: Path) -> None:
    """Write `results/variant.json` (one flat row) and `results/summary.json` (all runs).

    Runs are looked up by name; whatever else lies in the folders, for instance earlier variants, is not read.

    Raises:
        ManifestError: If a run's results are absent or damaged; says which stage to run.
        ParamsError: If `variant` is no run name.
    """
    chosen = GridRun.parse(variant)
    files = RunFiles(runs, evaluations, perturbations)
    whole = collect(files, runs_with(chosen), variant=variant)
    results.mkdir(parents=True, exist_ok=True)
    row = json.dumps(variant_row(chosen, whole.runs[variant]), indent=1)
    (results / "variant.json").write_text(row + "\n", encoding="utf-8")
    whole.write(results / "summary.json")


def collect(files: RunFiles, chosen: Sequence[GridRun], *, variant: str | None) -> StudySummary:
    """Return the results of runs, in the order of the report.

    Those of the variant must be complete; it is None in a report of chosen runs, for which `perturb` need not have run.

    Raises:
        ManifestError: If a run's results are absent or damaged; says which stage to run.
        ParamsError: If no run is chosen.
    """
    if not chosen:
        example = "`dvc repro evaluate@vit+vit-all`"
        raise ParamsError(f"{files.evaluations}: no run was evaluated; run for instance {example}")
    required, summaries = variant is not None, {}
    for run in progress(chosen, total=len(chosen), what="summary", unit="run"):
        perturbations = files.perturbation_metrics(run.name, required=required)
        summaries[run.name] = summarise_run(run, files.metrics(run.name), perturbations, files.history(run.name))
    first = variant or chosen[0].name
    conventions = files.metrics(first).conventions | files.perturbation_metrics(first, required=required).conventions
    return StudySummary(schema_version=SCHEMA_VERSION, variant=variant, conventions=conventions, runs=summaries)
