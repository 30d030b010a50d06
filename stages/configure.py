"""DVC stage `configure`."""

from pathlib import Path

from pipeline.runtime.console import run_stage
from pipeline.steps.configure import configure, record_code
from pipeline.steps.schedule import write_schedule


def main() -> None:
    """Check params.yaml and look at local data; write data/settings, data/code, and what was looked at and planned."""
    configure(
        params=Path("params.yaml"),
        settings=Path("data/settings"),
        repetitions=Path("data/repeats/plan.json"),
        votes=Path("data/votes/plan.json"),
        sources=Path("results/sources.json"),
    )
    record_code(root=Path(), code=Path("data/code"))
    write_schedule()


if __name__ == "__main__":
    run_stage(main)
