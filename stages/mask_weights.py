"""DVC stage `mask_weights`: one mask source."""

from pathlib import Path

from pipeline.runtime.console import run_stage
from pipeline.steps.mask_weights import fetch_mask_weights
from stages import parse_options


def main() -> None:
    """Read data/settings/mask_weights/SOURCE.json, write data/mask_weights/SOURCE."""
    source = parse_options(__doc__, "source").source
    settings = Path(f"data/settings/mask_weights/{source}.json")
    fetch_mask_weights(source, settings=settings, output=Path("data/mask_weights") / source)


if __name__ == "__main__":
    run_stage(main)
