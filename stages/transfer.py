"""DVC stage `transfer`: one mask source."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.masks import TransferParams
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.steps.transfer import transfer
from stages import parse_options


def main() -> None:
    """Read data/runs and data/shards of a source and of the annotation, write data/transfer/SOURCE."""
    options, runtime = parse_options(__doc__, "source", "train", "runs"), load_runtime()
    transfer(
        load_settings(TransferParams, Path("data/settings/transfer.json")),
        load_settings(EvaluateParams, Path("data/settings/evaluate.json")),
        source=options.source,
        trained_on=options.train,
        runs=[Path("data/runs") / run for run in options.runs],
        samples=Path("data/index/samples.parquet"),
        weights=Path("data/mask_weights") / options.source,
        shards=Path("data/shards"),
        output=Path("data/transfer") / options.source,
        device=runtime.device,
        mirror=runtime.mirror,
    )


if __name__ == "__main__":
    run_stage(main)
