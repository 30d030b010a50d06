"""Entry of `python -m pipeline`."""

from pipeline.runtime import vector_width  # noqa: F401 - before numpy and torch

# isort: split
from pipeline.cli.app import app
from pipeline.runtime.console import run_stage

if __name__ == "__main__":
    run_stage(app)
