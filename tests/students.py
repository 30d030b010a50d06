"""A tiny distilled DeiT that can be a student, for tests of distillation."""

from pathlib import Path

import torch

from pipeline.models.artifact import Distillation, RunConfig, build_run
from pipeline.models.card import CARD, BackboneCard
from pipeline.models.rvernet import RveRNet
from pipeline.params.stages import DistillationKind
from tests.small_run import backbone_card, run_card

CLASSES = 4


def student_card() -> BackboneCard:
    """Return the card of a distilled DeiT of one block, without weights."""
    options = {"embed_dim": 16, "num_heads": 2, "depth": 1}
    changes = {"name": "student", "timm": "demo_deit_distilled", "options": options, "input_size": 64}
    return backbone_card("student").model_copy(update=changes)


def write_student(weights: Path) -> None:
    """Put its card beside those of other backbones."""
    (weights / "student").mkdir(parents=True)
    student_card().write(weights / "student" / CARD)


def way(kind: DistillationKind = "hard", *, alpha: float = 0.5, temperature: float = 3.0) -> Distillation:
    """Return a way of teaching, by a teacher of no weights."""
    return Distillation(
        teacher=backbone_card("tiny"), teacher_sha256="0" * 64, kind=kind, alpha=alpha, temperature=temperature
    )


def student_plan(how: Distillation | None = None) -> RunConfig:
    """Return the plan of a student on the ROI."""
    card = run_card(("roi",))
    changes = {"roi": "student", "backbones": {"roi": student_card()}, "distillation": how or way()}
    return card.model_copy(update=changes)


def make_student(how: Distillation | None = None) -> RveRNet:
    """Return an untrained student whose heads differ, as those of a trained one do."""
    model = build_run(student_plan(how), {})
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model
