"""DVC stage `repeat`: one run under one more seed."""

import argparse
from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.repeat import repeat
from pipeline.training.launch import run_distributed


def main() -> None:
    """Read data/runs/RUN, data/shards and the weights that the run names, write data/repeats/RUN-SEED."""
    arguments, runtime = _arguments(), load_runtime()
    repeat(
        load_settings(EvaluateParams, Path("data/settings/evaluate.json")),
        run=Path("data/runs") / arguments.run,
        seed=arguments.seed,
        shards=local_or_mirror(Path("data/shards") / arguments.train, runtime.mirror),
        eval_shards=local_or_mirror(Path("data/shards") / arguments.source, runtime.mirror),
        weights=arguments.weights,
        output=Path("data/repeats") / f"{arguments.run}-{arguments.seed}",
        runtime=runtime,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="run to repeat")
    parser.add_argument("--seed", required=True, type=int, help="seed of the repetition")
    parser.add_argument("--train", required=True, help="mask source the run was trained on")
    parser.add_argument("--source", required=True, help="mask source to evaluate it on")
    parser.add_argument("--weights", required=True, type=Path, help="folder of pre-trained weights")
    return parser.parse_args()


if __name__ == "__main__":
    run_stage(run_distributed(main, load_runtime))
