"""DVC stage `summary`."""

import argparse
from pathlib import Path

from pipeline.runtime.console import run_stage
from pipeline.steps.summary import summarise


def main() -> None:
    """Read the results of all runs, write results/variant.json and results/summary.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", required=True, help="name of the variant's run")
    summarise(
        variant=parser.parse_args().variant,
        evaluations=Path("data/evaluations"),
        perturbations=Path("data/perturbations"),
        runs=Path("data/runs"),
        results=Path("results"),
    )


if __name__ == "__main__":
    run_stage(main)
