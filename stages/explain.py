"""DVC stage `explain`: one run."""

import argparse
from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import ExplainParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.explain import explain


def main() -> None:
    """Read data/settings, data/index, data/shards/SOURCE and data/runs/RUN, write data/explanations/RUN."""
    arguments, runtime = _arguments(), load_runtime()
    params = load_settings(ExplainParams, Path("data/settings/explain.json"))
    set_deterministic(params.threads, params.seed)
    explain(
        params,
        samples=Path("data/index/samples.parquet"),
        shards=local_or_mirror(Path("data/shards") / arguments.source, runtime.mirror),
        run=Path("data/runs") / arguments.run,
        output=Path("data/explanations") / arguments.run,
        device=runtime.device,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--run", "--source"):
        parser.add_argument(name, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    run_stage(main)
