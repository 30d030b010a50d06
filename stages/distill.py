"""DVC stage `distill`: one teacher, or none, for which torch is not imported."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT
from pipeline.params.runtime import RuntimeParams, load_runtime
from pipeline.params.stages import DistillationSummary, DistillParams, EvaluateParams
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.training.launch import run_distributed
from stages import parse_options

SETTINGS = Path("data/settings")


def main() -> None:
    """Read data/settings, data/shards and data/weights, write data/distilled/TEACHER."""
    options, runtime = parse_options(__doc__, "teacher", "classes", "train", "source"), load_runtime()
    params, output = load_settings(DistillParams, SETTINGS / "distill.json"), Path("data/distilled") / options.teacher
    if params.teacher == ABSENT:
        output.mkdir(parents=True, exist_ok=True)
        DistillationSummary(teacher=None, student=None, undistilled=None).write(output / "summary.json")
        return
    from pipeline.steps.distill import distill  # noqa: PLC0415 - torch takes seconds

    distill(
        params,
        recipe=load_settings(TrainParams, SETTINGS / "train.json"),
        evaluation=load_settings(EvaluateParams, SETTINGS / "evaluate.json"),
        class_set=load_settings(ClassSetParams, SETTINGS / f"classes/{options.classes}.json"),
        classes=options.classes,
        shards=local_or_mirror(Path("data/shards") / options.train, runtime.mirror),
        eval_shards=local_or_mirror(Path("data/shards") / options.source, runtime.mirror),
        weights=Path("data/weights"),
        output=output,
        runtime=runtime,
        ambiguous=Path("data/ambiguous.json"),
    )


def _runtime() -> RuntimeParams:
    """Return the runtime settings; without a teacher, of one process."""
    params, runtime = load_settings(DistillParams, SETTINGS / "distill.json"), load_runtime()
    return runtime.model_copy(update={"devices": 1}) if params.teacher == ABSENT else runtime


if __name__ == "__main__":
    run_stage(run_distributed(main, _runtime))
