"""DVC stage `configure`."""

from pathlib import Path

from pipeline.console import run_stage
from pipeline.steps.configure import configure


def main() -> None:
    """Check params.yaml, write data/settings and data/repeats/plan.json."""
    configure(params=Path("params.yaml"), settings=Path("data/settings"), repetitions=Path("data/repeats/plan.json"))


if __name__ == "__main__":
    run_stage(main)
