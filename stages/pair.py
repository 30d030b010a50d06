"""DVC stage `pair`."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import PairParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.ray_pool import cluster_of
from pipeline.steps.pair import write_shards
from stages import parse_options


def main() -> None:
    """Read data/masks/<source>, write data/shards/<source>."""
    source, runtime = parse_options(__doc__, "source").source, load_runtime()
    write_shards(
        load_settings(PairParams, Path("data/settings/pair.json")),
        source=source,
        raw=Path("data/raw"),
        samples=Path("data/index/samples.parquet"),
        masks=Path("data/masks") / source,
        shards=Path("data/shards") / source,
        workers=runtime.worker_count(),
        cluster=cluster_of(runtime),
        mirror=runtime.mirror,
    )


if __name__ == "__main__":
    run_stage(main)
