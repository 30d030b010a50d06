"""DVC stage `agreement`: one mask source."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.masks import AgreementParams
from pipeline.params.runtime import load_runtime
from pipeline.runtime.console import run_stage
from pipeline.steps.agreement import compare_source
from stages import parse_options


def main() -> None:
    """Read the masks of a source and of the annotation, write data/agreement/SOURCE."""
    source = parse_options(__doc__, "source").source
    compare_source(
        load_settings(AgreementParams, Path("data/settings/agreement.json")),
        source=source,
        raw=Path("data/raw"),
        samples=Path("data/index/samples.parquet"),
        weights=Path("data/mask_weights") / source,
        masks=Path("data/masks"),
        output=Path("data/agreement") / source,
        workers=load_runtime().worker_count(),
    )


if __name__ == "__main__":
    run_stage(main)
