"""Entry of `python -m pipeline`."""

from pipeline import processor  # noqa: F401 - before numpy and torch
from pipeline.cli.app import app
from pipeline.console import run_stage

if __name__ == "__main__":
    run_stage(app)
