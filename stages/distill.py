"""DVC stage `distill`: one teacher, or none."""

import argparse
from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.runtime import RuntimeParams, load_runtime
from pipeline.params.stages import DistillParams, EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.distill import distill, processes_for
from pipeline.training.launch import run_distributed


def main() -> None:
    """Read data/settings, data/shards and data/weights, write data/distilled/TEACHER."""
    arguments, runtime = _arguments(), load_runtime()
    distill(
        load_settings(DistillParams, Path("data/settings/distill.json")),
        recipe=load_settings(TrainParams, Path("data/settings/train.json")),
        evaluation=load_settings(EvaluateParams, Path("data/settings/evaluate.json")),
        class_set=load_settings(ClassSetParams, Path(f"data/settings/classes/{arguments.classes}.json")),
        classes=arguments.classes,
        shards=local_or_mirror(Path("data/shards") / arguments.train, runtime.mirror),
        eval_shards=local_or_mirror(Path("data/shards") / arguments.source, runtime.mirror),
        weights=Path("data/weights"),
        output=Path("data/distilled") / arguments.teacher,
        runtime=runtime,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", required=True, help="backbone of the teacher, or none")
    parser.add_argument("--classes", required=True, help="class set")
    parser.add_argument("--train", required=True, help="mask source to train on")
    parser.add_argument("--source", required=True, help="mask source to evaluate on")
    return parser.parse_args()


def _runtime() -> RuntimeParams:
    return processes_for(load_settings(DistillParams, Path("data/settings/distill.json")), load_runtime())


if __name__ == "__main__":
    run_stage(run_distributed(main, _runtime))
