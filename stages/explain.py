"""DVC stage `explain`: one run."""

from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import ExplainParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.explain import explain
from stages import parse_options


def main() -> None:
    """Read data/settings, data/index, data/shards/SOURCE and data/runs/RUN, write data/explanations/RUN."""
    options, runtime = parse_options(__doc__, "run", "source"), load_runtime()
    params = load_settings(ExplainParams, Path("data/settings/explain.json"))
    set_deterministic(params.threads, params.seed)
    explain(
        params,
        samples=Path("data/index/samples.parquet"),
        shards=local_or_mirror(Path("data/shards") / options.source, runtime.mirror),
        run=Path("data/runs") / options.run,
        output=Path("data/explanations") / options.run,
        device=runtime.device,
        ambiguous=Path("data/ambiguous.json"),
    )


if __name__ == "__main__":
    run_stage(main)
