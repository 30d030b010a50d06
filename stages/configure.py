"""DVC stage `configure`."""

from pathlib import Path

from pipeline.console import run_stage
from pipeline.steps.configure import configure


def main() -> None:
    """Check params.yaml, write data/settings."""
    configure(params=Path("params.yaml"), settings=Path("data/settings"))


if __name__ == "__main__":
    run_stage(main)
