"""DVC stage `train`: one run."""

import argparse
from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.runtime import load_runtime
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.train import train
from pipeline.training.launch import run_distributed


def main() -> None:
    """Read data/settings, data/shards and data/weights, write data/runs/RUN."""
    arguments, runtime = _arguments(), load_runtime()
    params = load_settings(TrainParams, Path("data/settings/train.json"))
    set_deterministic(params.threads, params.seed)
    train(
        params,
        run=arguments.run,
        roi=arguments.roi,
        extra_roi=arguments.extra_roi,
        class_set=load_settings(ClassSetParams, Path(f"data/settings/classes/{arguments.classes}.json")),
        classes=arguments.classes,
        shards=local_or_mirror(Path("data/shards") / arguments.source, runtime.mirror),
        weights=Path("data/weights"),
        output=Path("data/runs") / arguments.run,
        runtime=runtime,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--run", "--roi", "--extra-roi", "--classes", "--source"):
        parser.add_argument(name, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    run_stage(run_distributed(main, load_runtime))
