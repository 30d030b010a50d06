"""Stage `distill`: a teacher and its student, or an empty summary; without torch where there is no teacher."""

from pathlib import Path

from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import DistillationSummary, DistillParams, EvaluateParams
from pipeline.runtime.stores import Place

SUMMARY, TEACHER, STUDENT = "summary.json", "teacher", "student"


def distill(  # noqa: PLR0913 - every path and name of the stage
    params: DistillParams,
    *,
    recipe: TrainParams,
    evaluation: EvaluateParams,
    class_set: ClassSetParams,
    classes: str,
    shards: Place,
    eval_shards: Place,
    weights: Path,
    output: Path,
    runtime: RuntimeParams,
    ambiguous: Path | None = None,
) -> None:
    """Write `output/summary.json` and, with a teacher, the packages `teacher` and `student` with their evaluation.

    Raises:
        ModelError: If the student has no distillation token, or a backbone cannot be built.
        ParamsError: If the class set does not fit the categories, or the device or its precision is not there.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
    """
    summary: DistillationSummary | None = DistillationSummary(teacher=None, student=None, undistilled=None)
    if params.teacher != ABSENT:
        from pipeline.steps.distillation import run_distillation  # noqa: PLC0415 - torch takes seconds

        summary = run_distillation(
            params,
            recipe,
            evaluation,
            class_set,
            classes=classes,
            shards=shards,
            eval_shards=eval_shards,
            weights=weights,
            teacher=output / TEACHER,
            student=output / STUDENT,
            runtime=runtime,
            ambiguous=ambiguous,
        )
    if summary is not None:  # else of another process than the first
        output.mkdir(parents=True, exist_ok=True)
        summary.write(output / SUMMARY)
