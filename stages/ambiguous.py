"""DVC stage `ambiguous`."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.stages import AmbiguousParams
from pipeline.runtime.console import run_stage
from pipeline.steps.ambiguous import write_pair


def main() -> None:
    """Read data/settings, data/index and the validation predictions of a run on the ROI, write data/ambiguous.json."""
    write_pair(
        load_settings(AmbiguousParams, Path("data/settings/ambiguous.json")),
        summary=Path("data/index/summary.json"),
        run=Path("data/runs/mobilenetv2+none-all"),
        output=Path("data/ambiguous.json"),
    )


if __name__ == "__main__":
    run_stage(main)
