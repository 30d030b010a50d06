"""DVC stage `evaluate`: one run."""

from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.evaluate import evaluate
from stages import parse_options


def main() -> None:
    """Read data/settings, data/shards/SOURCE and data/runs/RUN, write data/evaluations/RUN."""
    options, runtime = parse_options(__doc__, "run", "source"), load_runtime()
    params = load_settings(EvaluateParams, Path("data/settings/evaluate.json"))
    set_deterministic(params.threads, seed=0)
    evaluate(
        params,
        shards=local_or_mirror(Path("data/shards") / options.source, runtime.mirror),
        run=Path("data/runs") / options.run,
        output=Path("data/evaluations") / options.run,
        device=runtime.device,
        ambiguous=Path("data/ambiguous.json"),
    )


if __name__ == "__main__":
    run_stage(main)
