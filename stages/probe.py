"""DVC stage `probe`: one backbone."""

from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import ProbeParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.probe import probe
from stages import parse_options


def main() -> None:
    """Read data/settings, data/raw, data/index, data/shards/SOURCE and data/weights, write data/probes/BACKBONE."""
    options, runtime = parse_options(__doc__, "backbone", "source"), load_runtime()
    params = load_settings(ProbeParams, Path("data/settings/probe.json"))
    set_deterministic(params.threads, seed=params.seed)
    probe(
        params,
        backbone=options.backbone,
        source=options.source,
        shards=local_or_mirror(Path("data/shards") / options.source, runtime.mirror),
        raw=local_or_mirror(Path("data/raw"), runtime.mirror),
        samples=Path("data/index/samples.parquet"),
        weights=Path("data/weights"),
        output=Path("data/probes") / options.backbone,
        device=runtime.device,
    )


if __name__ == "__main__":
    run_stage(main)
