"""DVC stage `perturb`: one run."""

from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import PerturbParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.perturb import perturb
from stages import parse_options


def main() -> None:
    """Read data/settings, data/shards/SOURCE and data/runs/RUN, write data/perturbations/RUN."""
    options, runtime = parse_options(__doc__, "run", "source"), load_runtime()
    params = load_settings(PerturbParams, Path("data/settings/perturb.json"))
    set_deterministic(params.threads, params.seed)
    perturb(
        params,
        shards=local_or_mirror(Path("data/shards") / options.source, runtime.mirror),
        run=Path("data/runs") / options.run,
        output=Path("data/perturbations") / options.run,
        device=runtime.device,
    )


if __name__ == "__main__":
    run_stage(main)
