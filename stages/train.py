"""DVC stage `train`: one run."""

import argparse
from pathlib import Path

from pipeline.console import run_stage
from pipeline.mirror import nearest
from pipeline.models.numerics import fix_numerics
from pipeline.params.base import load_settings
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.runtime import load_runtime
from pipeline.steps.train import train
from pipeline.training.devices import on_devices


def main() -> None:
    """Read data/settings, data/shards and data/weights, write data/runs/RUN."""
    arguments, runtime = _arguments(), load_runtime()
    params = load_settings(TrainParams, Path("data/settings/train.json"))
    fix_numerics(params.threads, params.seed)
    train(
        params,
        run=arguments.run,
        roi=arguments.roi,
        extra_roi=arguments.extra_roi,
        class_set=load_settings(ClassSetParams, Path(f"data/settings/classes/{arguments.classes}.json")),
        classes=arguments.classes,
        shards=nearest(Path("data/shards") / arguments.source, runtime.mirror),
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
    run_stage(on_devices(main, load_runtime))
