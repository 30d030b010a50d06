"""DVC stage `weights`: one backbone."""

from pathlib import Path

from pipeline.models import device as numerics  # noqa: F401 - what it sets comes before torch and timm
from pipeline.params.base import load_settings
from pipeline.params.model import BackboneParams
from pipeline.runtime.console import run_stage
from pipeline.steps.weights import fetch_weights
from stages import parse_options


def main() -> None:
    """Read data/settings/backbones/NAME.json, write data/weights/NAME."""
    name = parse_options(__doc__, "backbone").backbone
    params = load_settings(BackboneParams, Path(f"data/settings/backbones/{name}.json"))
    fetch_weights(params, name=name, weights=Path("data/weights"))


if __name__ == "__main__":
    run_stage(main)
