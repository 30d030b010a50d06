"""DVC stage `evaluate`: one run."""

import argparse
from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.evaluate import evaluate


def main() -> None:
    """Read data/settings, data/shards/SOURCE and data/runs/RUN, write data/evaluations/RUN."""
    arguments, runtime = _arguments(), load_runtime()
    params = load_settings(EvaluateParams, Path("data/settings/evaluate.json"))
    set_deterministic(params.threads, seed=0)
    evaluate(
        params,
        shards=local_or_mirror(Path("data/shards") / arguments.source, runtime.mirror),
        run=Path("data/runs") / arguments.run,
        output=Path("data/evaluations") / arguments.run,
        device=runtime.device,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--run", "--source"):
        parser.add_argument(name, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    run_stage(main)
