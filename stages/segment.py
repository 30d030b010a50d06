"""DVC stage `segment`: one mask source."""

from pathlib import Path

from pipeline.params.runtime import load_runtime
from pipeline.runtime.console import run_stage
from pipeline.steps.segment import segment
from stages import parse_options


def main() -> None:
    """Read data/raw, data/index and data/mask_weights/SOURCE, write data/masks/SOURCE."""
    source = parse_options(__doc__, "source").source
    segment(
        source,
        settings=Path(f"data/settings/masks/{source}.json"),
        raw=Path("data/raw"),
        samples=Path("data/index/samples.parquet"),
        weights=Path("data/mask_weights") / source,
        masks=Path("data/masks") / source,
        runtime=load_runtime(),
    )


if __name__ == "__main__":
    run_stage(main)
