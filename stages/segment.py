"""DVC stage `segment`."""

import argparse
from pathlib import Path

from pipeline.console import run_stage
from pipeline.params.base import load_settings
from pipeline.params.data import SegmentParams
from pipeline.params.runtime import load_runtime
from pipeline.steps.segment import write_masks


def main() -> None:
    """Read data/index, write data/masks/<source>."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="mask source")
    source = parser.parse_args().source
    write_masks(
        load_settings(SegmentParams, Path("data/settings/segment.json")),
        raw=Path("data/raw"),
        samples=Path("data/index/samples.parquet"),
        masks=Path("data/masks") / source,
        workers=load_runtime().worker_count(),
    )


if __name__ == "__main__":
    run_stage(main)
