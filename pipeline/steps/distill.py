"""Teach a student through DeiT's distillation token, on ROI samples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.datasets.shards import Shards
from pipeline.evaluation.distillation import DistillationSummary
from pipeline.evaluation.session import fit_classes
from pipeline.models.artifact import Distillation, RunCard, RunConfig, build_run, load_run
from pipeline.models.card import CARD, BackboneCard, read_card
from pipeline.models.device import pick_device, set_deterministic
from pipeline.models.rvernet import RveRNet, check_student
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT, RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import DistillParams, EvaluateParams
from pipeline.runtime.stores import Place
from pipeline.steps.evaluate import evaluate
from pipeline.steps.train import run_training, train
from pipeline.training.distributed import current_context

# A teacher and its student: train the one, let it teach the other, judge both.


@dataclass(frozen=True, slots=True)
class DistillationJob:
    """Who teaches whom, and on what; see `distill`."""

    params: DistillParams
    recipe: TrainParams
    class_set: ClassSetParams
    classes: str
    shards: Place
    weights: Path
    runtime: RuntimeParams

    @property
    def teacher(self) -> str:
        """Name of the teacher's run, a run like any other on the ROI alone."""
        return f"{self.params.teacher}+{ABSENT}-{self.classes}"

    @property
    def student(self) -> str:
        """Name of the student's run."""
        return f"{self.params.student}-of-{self.params.teacher}+{ABSENT}-{self.classes}"


def run_distillation(
    lesson: DistillationJob, judging: EvaluateParams, *, judged_on: Place, teacher: Path, student: Path
) -> None:
    """Write the packages of a teacher and its student, each with what stage `evaluate` writes beside it.

    Both are resumed like any run; a teacher that was done when its student was interrupted takes no step again. Of
    several processes that train together, the first one writes and judges.

    Args:
        lesson: Who teaches whom, and on what.
        judging: Section `evaluate`.
        judged_on: Cut-outs to judge on.
        teacher: Folder to write.
        student: Folder to write.

    Raises:
        ModelError: If the student has no distillation token, or a backbone cannot be built.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
    """
    learner = read_card(lesson.weights / lesson.params.student)
    check_student(learner, [read_card(path.parent) for path in sorted(lesson.weights.glob(f"*/{CARD}"))])
    set_deterministic(lesson.recipe.threads, lesson.recipe.seed)
    _train_teacher(lesson, teacher)
    _train_student(lesson, learner, teacher, student)
    if not current_context().is_main:
        return
    set_deterministic(judging.threads, seed=0)
    for folder in (teacher, student):
        evaluate(judging, shards=judged_on, run=folder, output=folder, device=lesson.runtime.device)


def _train_teacher(lesson: DistillationJob, output: Path) -> None:
    train(
        lesson.recipe,
        run=lesson.teacher,
        roi=lesson.params.teacher,
        extra_roi=ABSENT,
        class_set=lesson.class_set,
        classes=lesson.classes,
        shards=lesson.shards,
        weights=lesson.weights,
        output=output,
        runtime=lesson.runtime,
    )


def _train_student(lesson: DistillationJob, learner: BackboneCard, teacher: Path, output: Path) -> None:
    source = Shards(lesson.shards)
    model, card = _load_teacher(teacher, pick_device(lesson.runtime.device))
    run_training(
        student_config(lesson, learner, card),
        fit_classes(card, source),
        source,
        weights=lesson.weights,
        output=output,
        runtime=lesson.runtime,
        teacher=model,
    )


def _load_teacher(folder: Path, device: torch.device) -> tuple[RveRNet, RunCard]:
    """Read the teacher's package; several processes have it from the first one, whose disk it is on."""
    ranks = current_context()
    if ranks.world_size == 1:
        return load_run(folder, device)
    found = load_run(folder, "cpu") if ranks.is_main else None
    sent: Any = ranks.broadcast(found and (found[1].model_dump_json(), found[0].state_dict()))
    card, tensors = RunCard.model_validate_json(sent[0]), sent[1]
    model = build_run(card, {})
    model.load_state_dict(tensors)
    return model.to(device).eval(), card


def student_config(lesson: DistillationJob, learner: BackboneCard, teacher: RunCard) -> RunConfig:
    """Return the plan of a student: its teacher's but for the backbone and who says what is right."""
    return teacher.replace(
        run=lesson.student,
        roi=learner.name,
        backbones={"roi": learner},
        distillation=Distillation(
            teacher=teacher.backbones["roi"],
            teacher_sha256=teacher.weights_sha256,
            **lesson.params.model_dump(include={"kind", "alpha", "temperature"}),
        ),
    )


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
    from pipeline.training.distributed import current_context  # noqa: PLC0415

    lesson = DistillationJob(params, recipe, class_set, classes, shards, weights, runtime)
    run_distillation(lesson, judging, judged_on=judged_on, teacher=output / TEACHER, student=output / STUDENT)
    if current_context().is_main:
        undistilled = RunName(params.student, ABSENT, classes).name
        _write(DistillationSummary(teacher=lesson.teacher, student=lesson.student, undistilled=undistilled), output)


def _write(summary: DistillationSummary, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    summary.write(output / SUMMARY)


def processes_for(params: DistillParams, runtime: RuntimeParams) -> RuntimeParams:
    """Return who works: where nobody teaches, one process has all there is to do."""
    return runtime.model_copy(update={"devices": 1}) if params.teacher == ABSENT else runtime
