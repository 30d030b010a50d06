"""DVC stage `repeats`."""

from pathlib import Path

from pipeline.runtime.console import run_stage
from pipeline.steps.repeats import collect_repetitions


def main() -> None:
    """Read data/repeats and data/evaluations, write data/repetitions.json."""
    data = Path("data")
    collect_repetitions(
        repeats=data / "repeats",
        evaluations=data / "evaluations",
        ambiguous=data / "ambiguous.json",
        output=data / "repetitions.json",
    )


if __name__ == "__main__":
    run_stage(main)
