"""DVC stage `agreement`: one mask source."""

import argparse
from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.masks import AgreementParams
from pipeline.params.runtime import load_runtime
from pipeline.runtime.console import run_stage
from pipeline.steps.agreement import compare_source


def main() -> None:
    """Read the masks of a source and of the annotation, write data/agreement/SOURCE."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="mask source")
    source = parser.parse_args().source
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
