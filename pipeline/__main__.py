"""Entry of `python -m pipeline`."""

from pipeline.cli.app import app
from pipeline.console import run_stage

if __name__ == "__main__":
    run_stage(app)
