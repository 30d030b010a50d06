"""DVC stage `repeats`."""

from pathlib import Path

from pipeline.runtime.console import run_stage
from pipeline.steps.repeats import collect_repetitions


def main() -> None:
    """Read data/repeats and data/evaluations, write data/repetitions.json."""
    collect_repetitions(
        repeats=Path("data/repeats"),
        evaluations=Path("data/evaluations"),
        output=Path("data/repetitions.json"),
    )


if __name__ == "__main__":
    run_stage(main)
