"""A teacher and its student: train the one, let it teach the other, judge both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.datasets.shards import Shards
from pipeline.evaluation.run_samples import fit_classes
from pipeline.models.card import CARD, BackboneCard, read_card
from pipeline.models.numerics import fix_numerics, pick_device
from pipeline.models.package import Distillation, RunCard, RunPlan, build_run, load_run
from pipeline.models.rvernet import RveRNet
from pipeline.models.student import check_student
from pipeline.params.analysis import EvaluateParams
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT
from pipeline.params.runtime import RuntimeParams
from pipeline.params.variation import DistillParams
from pipeline.steps.evaluate import evaluate
from pipeline.steps.train import carry_out, train
from pipeline.stores import Place
from pipeline.training.ranks import present_ranks


@dataclass(frozen=True, slots=True)
class Lesson:
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


def give_lesson(lesson: Lesson, judging: EvaluateParams, *, judged_on: Place, teacher: Path, student: Path) -> None:
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
    fix_numerics(lesson.recipe.threads, lesson.recipe.seed)
    _train_teacher(lesson, teacher)
    _train_student(lesson, learner, teacher, student)
    if not present_ranks().leads:
        return
    fix_numerics(judging.threads, seed=0)
    for folder in (teacher, student):
        evaluate(judging, shards=judged_on, run=folder, output=folder, device=lesson.runtime.device)


def _train_teacher(lesson: Lesson, output: Path) -> None:
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


def _train_student(lesson: Lesson, learner: BackboneCard, teacher: Path, output: Path) -> None:
    source = Shards(lesson.shards)
    model, card = _load_teacher(teacher, pick_device(lesson.runtime.device))
    carry_out(
        student_plan(lesson, learner, card),
        fit_classes(card, source),
        source,
        weights=lesson.weights,
        output=output,
        runtime=lesson.runtime,
        teacher=model,
    )


def _load_teacher(folder: Path, device: torch.device) -> tuple[RveRNet, RunCard]:
    """Read the teacher's package; several processes have it from the first one, whose disk it is on."""
    ranks = present_ranks()
    if ranks.world == 1:
        return load_run(folder, device)
    found = load_run(folder, "cpu") if ranks.leads else None
    sent: Any = ranks.of_first(found and (found[1].model_dump_json(), found[0].state_dict()))
    card, tensors = RunCard.model_validate_json(sent[0]), sent[1]
    model = build_run(card, {})
    model.load_state_dict(tensors)
    return model.to(device).eval(), card


def student_plan(lesson: Lesson, learner: BackboneCard, teacher: RunCard) -> RunPlan:
    """Return the plan of a student: its teacher's but for the backbone and who says what is right."""
    return teacher.like(
        run=lesson.student,
        roi=learner.name,
        backbones={"roi": learner},
        distillation=Distillation(
            teacher=teacher.backbones["roi"],
            teacher_sha256=teacher.weights_sha256,
            **lesson.params.model_dump(include={"kind", "alpha", "temperature"}),
        ),
    )
