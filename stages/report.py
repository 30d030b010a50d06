"""DVC stage `report`."""

import argparse
from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.stages import ReportParams
from pipeline.runtime.console import run_stage
from pipeline.steps.report import write_report


def main() -> None:
    """Read data set, settings and results, write data/report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", required=True, help="name of the variant's run")
    parser.add_argument("--source", required=True, help="mask source")
    parser.add_argument("--teacher", required=True, help="backbone that teaches, or none")
    arguments = parser.parse_args()
    write_report(
        load_settings(ReportParams, Path("data/settings/report.json")),
        variant=arguments.variant,
        summary=Path("results/summary.json"),
        index=Path("data/index"),
        raw=Path("data/raw"),
        source=Path("data/source.json"),
        shards=Path("data/shards") / arguments.source,
        runs=Path("data/runs"),
        evaluations=Path("data/evaluations"),
        perturbations=Path("data/perturbations"),
        explanations=Path("data/explanations"),
        settings=Path("data/settings"),
        report=Path("data/report"),
        agreement=Path("data/agreement") / arguments.source,
        transfer=Path("data/transfer") / arguments.source,
        repetitions=Path("data/repetitions.json"),
        distilled=Path("data/distilled") / arguments.teacher,
    )


if __name__ == "__main__":
    run_stage(main)
