"""DVC stage `summary`."""

from pathlib import Path

from pipeline.runtime.console import run_stage
from pipeline.steps.summary import summarise
from stages import parse_options


def main() -> None:
    """Read the results of all runs, write results/variant.json and results/summary.json."""
    summarise(
        variant=parse_options(__doc__, "variant").variant,
        evaluations=Path("data/evaluations"),
        perturbations=Path("data/perturbations"),
        runs=Path("data/runs"),
        results=Path("results"),
    )


if __name__ == "__main__":
    run_stage(main)
