"""DVC stage `repeat`: one run under one more seed."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.repeat import repeat
from pipeline.training.launch import run_distributed
from stages import parse_options


def main() -> None:
    """Read data/runs/RUN, data/shards and the weights that the run names, write data/repeats/RUN-SEED."""
    options, runtime = parse_options(__doc__, "run", "seed", "train", "source", "weights"), load_runtime()
    repeat(
        load_settings(EvaluateParams, Path("data/settings/evaluate.json")),
        run=Path("data/runs") / options.run,
        seed=options.seed,
        shards=local_or_mirror(Path("data/shards") / options.train, runtime.mirror),
        eval_shards=local_or_mirror(Path("data/shards") / options.source, runtime.mirror),
        weights=options.weights,
        output=Path("data/repeats") / f"{options.run}-{options.seed}",
        runtime=runtime,
        ambiguous=Path("data/ambiguous.json"),
    )


if __name__ == "__main__":
    run_stage(run_distributed(main, load_runtime))
