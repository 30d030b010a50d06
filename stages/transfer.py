"""DVC stage `transfer`: one mask source."""

import argparse
from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.masks import TransferParams
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.steps.transfer import transfer


def main() -> None:
    """Read data/runs and data/shards of a source and of the annotation, write data/transfer/SOURCE."""
    arguments, runtime = _arguments(), load_runtime()
    transfer(
        load_settings(TransferParams, Path("data/settings/transfer.json")),
        load_settings(EvaluateParams, Path("data/settings/evaluate.json")),
        source=arguments.source,
        trained_on=arguments.train,
        runs=[Path("data/runs") / run for run in arguments.runs],
        samples=Path("data/index/samples.parquet"),
        weights=Path("data/mask_weights") / arguments.source,
        shards=Path("data/shards"),
        output=Path("data/transfer") / arguments.source,
        device=runtime.device,
        mirror=runtime.mirror,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="mask source of the test cut-outs")
    parser.add_argument("--train", required=True, help="mask source the runs were trained on")
    parser.add_argument("--runs", required=True, nargs="+", help="runs to evaluate")
    return parser.parse_args()


if __name__ == "__main__":
    run_stage(main)
