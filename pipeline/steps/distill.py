"""Stage `distill`: a teacher and its student, or an empty summary; without torch where there is no teacher."""

from pathlib import Path

from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT, RunName
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
) -> None:
    """Write `output/summary.json` and, with a teacher, the packages `teacher` and `student` with their evaluation.

    Args:
        params: Section `distill`: teacher, student and kind of distillation.
        recipe: Section `train`, for both.
        evaluation: Section `evaluate`.
        class_set: Categories of both.
        classes: Name of the class set.
        shards: Cut-outs to train on; ROI views are used.
        eval_shards: Cut-outs to evaluate on.
        weights: One folder per backbone.
        output: Folder to write.
        runtime: Device, memory, and interval between checkpoints.

    Raises:
        ModelError: If the student has no distillation token, or a backbone cannot be built.
        ParamsError: If the class set does not fit the categories, or the device or its precision is not there.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
    """
    summary = DistillationSummary(teacher=None, student=None, undistilled=None)
    if params.teacher != ABSENT:
        from pipeline.steps.distillation import DistillationJob, run_distillation  # noqa: PLC0415 - torch takes seconds
        from pipeline.training.distributed import current_context  # noqa: PLC0415

        job = DistillationJob(params, recipe, class_set, classes, shards, weights, runtime)
        run_distillation(job, evaluation, eval_shards=eval_shards, teacher=output / TEACHER, student=output / STUDENT)
        if not current_context().is_main:
            return
        undistilled = RunName(params.student, ABSENT, classes).name
        summary = DistillationSummary(teacher=job.teacher, student=job.student, undistilled=undistilled)
    output.mkdir(parents=True, exist_ok=True)
    summary.write(output / SUMMARY)


def processes_for(params: DistillParams, runtime: RuntimeParams) -> RuntimeParams:
    """Return the runtime settings; without a teacher, of one process."""
    return runtime.model_copy(update={"devices": 1}) if params.teacher == ABSENT else runtime
