"""DVC stage `mask_weights`: one mask source."""

import argparse
from pathlib import Path

from pipeline.runtime.console import run_stage
from pipeline.steps.mask_weights import fetch_mask_weights


def main() -> None:
    """Read data/settings/mask_weights/SOURCE.json, write data/mask_weights/SOURCE."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="mask source")
    source = parser.parse_args().source
    fetch_mask_weights(
        source,
        settings=Path(f"data/settings/mask_weights/{source}.json"),
        output=Path("data/mask_weights") / source,
    )


if __name__ == "__main__":
    run_stage(main)
