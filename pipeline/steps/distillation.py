"""Train a teacher, and a student that learns from it through DeiT's distillation token, on ROI samples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.datasets.shards import Shards
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


@dataclass(frozen=True, slots=True)
class DistillationJob:
    """Settings and inputs of a teacher and its student; see `distill`."""

    params: DistillParams
    recipe: TrainParams
    class_set: ClassSetParams
    classes: str
    shards: Place
    weights: Path
    runtime: RuntimeParams

    @property
    def teacher(self) -> str:
        """Name of the teacher's run, a run on the ROI alone."""
        return RunName(self.params.teacher, ABSENT, self.classes).name

    @property
    def student(self) -> str:
        """Name of the student's run."""
        return RunName(f"{self.params.student}-of-{self.params.teacher}", ABSENT, self.classes).name


def run_distillation(
    job: DistillationJob, evaluation: EvaluateParams, *, eval_shards: Place, teacher: Path, student: Path
) -> None:
    """Write the packages of a teacher and its student, each with what stage `evaluate` writes beside it.

    Both are resumed like any run; a teacher that is done takes no further step. With several processes, rank 0
    evaluates.

    Args:
        job: Settings and inputs.
        evaluation: Section `evaluate`.
        eval_shards: Cut-outs to evaluate on.
        teacher: Folder to write.
        student: Folder to write.

    Raises:
        ModelError: If the student has no distillation token, or a backbone cannot be built.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
    """
    backbone = read_card(job.weights / job.params.student)
    check_student(backbone, [read_card(path.parent) for path in sorted(job.weights.glob(f"*/{CARD}"))])
    set_deterministic(job.recipe.threads, job.recipe.seed)
    train(
        job.recipe,
        run=job.teacher,
        roi=job.params.teacher,
        extra_roi=ABSENT,
        class_set=job.class_set,
        classes=job.classes,
        shards=job.shards,
        weights=job.weights,
        output=teacher,
        runtime=job.runtime,
    )
    source = Shards(job.shards)
    model, card = _load_teacher(teacher, pick_device(job.runtime.device))
    run_training(
        student_config(job, backbone, card),
        fit_classes(card, source),
        source,
        weights=job.weights,
        output=student,
        runtime=job.runtime,
        teacher=model,
    )
    if not current_context().is_main:
        return
    set_deterministic(evaluation.threads, seed=0)
    for folder in (teacher, student):
        evaluate(evaluation, shards=eval_shards, run=folder, output=folder, device=job.runtime.device)


def _load_teacher(folder: Path, device: torch.device) -> tuple[RveRNet, RunCard]:
    """Read the teacher's package; with several processes, rank 0 reads it and broadcasts it."""
    context = current_context()
    if context.world_size == 1:
        return load_run(folder, device)
    found = load_run(folder, "cpu") if context.is_main else None
    sent: Any = context.broadcast(found and (found[1].model_dump_json(), found[0].state_dict()))
    card, tensors = RunCard.model_validate_json(sent[0]), sent[1]
    model = build_run(card, {})
    model.load_state_dict(tensors)
    return model.to(device).eval(), card


def student_config(job: DistillationJob, backbone: BackboneCard, teacher: RunCard) -> RunConfig:
    """Return the configuration of a student: its teacher's with another backbone and a distillation."""
    return teacher.replace(
        run=job.student,
        roi=backbone.name,
        backbones={"roi": backbone},
        distillation=Distillation(
            teacher=teacher.backbones["roi"],
            teacher_sha256=teacher.weights_sha256,
            **job.params.model_dump(include={"kind", "alpha", "temperature"}),
        ),
    )
