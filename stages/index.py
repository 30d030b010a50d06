"""DVC stage `index`."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.model import load_class_sets
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import IndexParams
from pipeline.runtime.console import run_stage
from pipeline.steps.index import build_index


def main() -> None:
    """Read data/raw, write data/index."""
    build_index(
        load_settings(IndexParams, Path("data/settings/index.json")),
        raw=Path("data/raw"),
        index=Path("data/index"),
        workers=load_runtime().worker_count(),
        class_sets=load_class_sets(Path("data/settings/classes")),
    )


if __name__ == "__main__":
    run_stage(main)
