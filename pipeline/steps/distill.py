"""Teach a student through DeiT's distillation token, on ROI samples."""

from pathlib import Path

from pipeline.evaluation.distillation import DistillationSummary
from pipeline.params.analysis import EvaluateParams
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT, RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.variation import DistillParams
from pipeline.stores import Place

SUMMARY, TEACHER, STUDENT = "summary.json", "teacher", "student"


def distill(  # noqa: PLR0913 - every path and name of the stage
    params: DistillParams,
    *,
    recipe: TrainParams,
    judging: EvaluateParams,
    class_set: ClassSetParams,
    classes: str,
    shards: Place,
    judged_on: Place,
    weights: Path,
    output: Path,
    runtime: RuntimeParams,
) -> None:
    """Write `output/summary.json` and, if somebody teaches, the packages `teacher` and `student` with their evaluation.

    Args:
        params: Who teaches whom, and how.
        recipe: Section `train`, for both.
        judging: Section `evaluate`.
        class_set: Categories of both.
        classes: Name of the class set.
        shards: Cut-outs to train on; ROI views are used.
        judged_on: Cut-outs to judge on.
        weights: One folder a backbone.
        output: Folder to write.
        runtime: Where models are trained, and how often a checkpoint is written.

    Raises:
        ModelError: If the student has no distillation token, or a backbone cannot be built.
        ParamsError: If the class set does not fit the categories, or the device or its precision is not there.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
    """
    if params.teacher == ABSENT:
        _write(DistillationSummary(teacher=None, student=None, undistilled=None), output)
        return
    # Torch, only where somebody teaches.
    from pipeline.steps.lesson import Lesson, give_lesson  # noqa: PLC0415
    from pipeline.training.ranks import present_ranks  # noqa: PLC0415

    lesson = Lesson(params, recipe, class_set, classes, shards, weights, runtime)
    give_lesson(lesson, judging, judged_on=judged_on, teacher=output / TEACHER, student=output / STUDENT)
    if present_ranks().leads:
        undistilled = RunName(params.student, ABSENT, classes).name
        _write(DistillationSummary(teacher=lesson.teacher, student=lesson.student, undistilled=undistilled), output)


def _write(summary: DistillationSummary, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    summary.write(output / SUMMARY)


def processes_for(params: DistillParams, runtime: RuntimeParams) -> RuntimeParams:
    """Return who works: where nobody teaches, one process has all there is to do."""
    return runtime.model_copy(update={"devices": 1}) if params.teacher == ABSENT else runtime
