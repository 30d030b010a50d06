"""DVC stage `report`."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.stages import ReportParams
from pipeline.runtime.console import run_stage
from pipeline.steps.report import write_report
from stages import parse_options


def main() -> None:
    """Read data set, settings and results, write data/report."""
    options = parse_options(__doc__, "variant", "source", "teacher")
    write_report(
        load_settings(ReportParams, Path("data/settings/report.json")),
        variant=options.variant,
        summary=Path("results/summary.json"),
        index=Path("data/index"),
        raw=Path("data/raw"),
        source=Path("data/source.json"),
        shards=Path("data/shards") / options.source,
        runs=Path("data/runs"),
        evaluations=Path("data/evaluations"),
        perturbations=Path("data/perturbations"),
        explanations=Path("data/explanations"),
        settings=Path("data/settings"),
        report=Path("data/report"),
        agreement=Path("data/agreement") / options.source,
        transfer=Path("data/transfer") / options.source,
        repetitions=Path("data/repetitions.json"),
        distilled=Path("data/distilled") / options.teacher,
        probes=Path("data/probes"),
        votes=Path("data/votes"),
        ambiguous=Path("data/ambiguous.json"),
    )


if __name__ == "__main__":
    run_stage(main)
