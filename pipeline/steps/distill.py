"""Stage `distill`: train a teacher, and a student that learns from it through DeiT's distillation token, on ROIs."""

from pathlib import Path
from typing import Any

import torch

from pipeline.datasets.shards import Shards
from pipeline.evaluation.session import fit_classes
from pipeline.models.artifact import Distillation, RunCard, build_run, load_run
from pipeline.models.card import CARD, read_card
from pipeline.models.device import pick_device, set_deterministic
from pipeline.models.rvernet import RveRNet, check_student
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT, RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import DistillationSummary, DistillParams, EvaluateParams
from pipeline.runtime.stores import Place
from pipeline.steps.evaluate import evaluate
from pipeline.steps.train import run_training, train
from pipeline.training.distributed import current_context

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
    """Write `output/summary.json` and the packages `teacher` and `student`, each with what `evaluate` writes.

    Both are resumed like any run; a teacher that is done takes no further step. With several processes, rank 0
    evaluates.

    Raises:
        ModelError: If the student has no distillation token, or a backbone cannot be built.
        ParamsError: If the class set does not fit the categories, or the device or its precision is not there.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
    """
    teacher, student = output / TEACHER, output / STUDENT
    backbone, roi = read_card(weights / params.student), params.teacher
    check_student(backbone, [read_card(path.parent) for path in sorted(weights.glob(f"*/{CARD}"))])
    set_deterministic(recipe.threads, recipe.seed)
    run = RunName(roi, ABSENT, classes)  # on the ROI alone
    train(recipe, run=run, class_set=class_set, shards=shards, weights=weights, output=teacher, runtime=runtime)
    source = Shards(shards)
    model, card = _load_teacher(teacher, pick_device(runtime.device))
    config = card.replace(
        run=RunName(f"{params.student}-of-{roi}", ABSENT, classes).name,
        roi=backbone.name,
        backbones={"roi": backbone},
        distillation=Distillation(
            teacher=card.backbones["roi"],
            teacher_sha256=card.weights_sha256,
            **params.model_dump(include={"kind", "alpha", "temperature"}),
        ),
    )
    class_map = fit_classes(card, source)
    run_training(config, class_map, source, weights=weights, output=student, runtime=runtime, teacher=model)
    if not current_context().is_main:
        return
    set_deterministic(evaluation.threads, seed=0)
    for folder in (teacher, student):
        device = runtime.device
        evaluate(evaluation, shards=eval_shards, run=folder, output=folder, device=device, ambiguous=ambiguous)
    undistilled = RunName(params.student, ABSENT, classes).name
    DistillationSummary(teacher=run.name, student=config.run, undistilled=undistilled).write(output / SUMMARY)


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
