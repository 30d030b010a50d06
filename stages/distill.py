"""DVC stage `distill`: one teacher, or none."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT
from pipeline.params.runtime import RuntimeParams, load_runtime
from pipeline.params.stages import DistillParams, EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.distill import distill
from pipeline.training.launch import run_distributed
from stages import parse_options


def main() -> None:
    """Read data/settings, data/shards and data/weights, write data/distilled/TEACHER."""
    options, runtime = parse_options(__doc__, "teacher", "classes", "train", "source"), load_runtime()
    distill(
        load_settings(DistillParams, Path("data/settings/distill.json")),
        recipe=load_settings(TrainParams, Path("data/settings/train.json")),
        evaluation=load_settings(EvaluateParams, Path("data/settings/evaluate.json")),
        class_set=load_settings(ClassSetParams, Path(f"data/settings/classes/{options.classes}.json")),
        classes=options.classes,
        shards=local_or_mirror(Path("data/shards") / options.train, runtime.mirror),
        eval_shards=local_or_mirror(Path("data/shards") / options.source, runtime.mirror),
        weights=Path("data/weights"),
        output=Path("data/distilled") / options.teacher,
        runtime=runtime,
        ambiguous=Path("data/ambiguous.json"),
    )


def _runtime() -> RuntimeParams:
    """Return the runtime settings; without a teacher, of one process."""
    params, runtime = load_settings(DistillParams, Path("data/settings/distill.json")), load_runtime()
    return runtime.model_copy(update={"devices": 1}) if params.teacher == ABSENT else runtime


if __name__ == "__main__":
    run_stage(run_distributed(main, _runtime))
