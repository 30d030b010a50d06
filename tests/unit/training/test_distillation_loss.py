"""What a student makes small."""

import math

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.artifact import build_run
from pipeline.models.rvernet import RveRNet, split_heads
from pipeline.params.stages import DistillationKind
from pipeline.training.dataset import Batch, MicroBatch
from pipeline.training.losses import CrossEntropy, DistillationLoss, soft_distillation_loss
from tests.small_run import run_card
from tests.students import make_student, way
from tests.training_data import split_of

BY_CLASS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]])
DISTILLED = torch.tensor([[0.0, 1.0, 0.0], [1.0, -1.0, 0.0]])
TAUGHT = torch.tensor([[0.0, 3.0, 1.0], [0.5, 0.0, 2.0]])
TARGETS = torch.tensor([0, 2])
BATCH = Batch(torch.arange(2), TARGETS, None, None)
SPLIT = split_of(6)
(PAIRS,) = SPLIT.stream([MicroBatch(torch.arange(6), None)], torch.device("cpu"))
PICTURES = PAIRS._replace(extra_roi=None)


class Saying(RveRNet):
    """Always says the same."""

    def __init__(self, logits: Tensor) -> None:
        """Have no branch."""
        super().__init__(None, None, nn.Identity())
        self.logits = logits

    def forward(self, *_: object) -> Tensor:
        """Return the logits."""
        return self.logits


STUDENT = Saying(torch.cat([BY_CLASS, DISTILLED], dim=1))


def log_softmax(row: Tensor, temperature: float = 1.0) -> list[float]:
    """Return logarithms of probabilities, by hand."""
    total = math.log(sum(math.exp(value / temperature) for value in row.tolist()))
    return [value / temperature - total for value in row.tolist()]


def surprises(logits: Tensor, labels: list[int]) -> list[float]:
    """Return cross-entropies, by hand."""
    return [-log_softmax(row)[label] for row, label in zip(logits, labels, strict=True)]


def divergences(temperature: float) -> list[float]:
    """Return the divergences of the distillation head from the teacher, times T squared, by hand."""
    found = []
    for said, wanted in zip(DISTILLED, TAUGHT, strict=True):
        pairs = zip(log_softmax(wanted, temperature), log_softmax(said, temperature), strict=True)
        found.append(temperature**2 * sum(math.exp(p) * (p - q) for p, q in pairs))
    return found


def test_hard_losses_are_those_of_equation_3() -> None:
    """Half the surprise of the class head about the label, half that of the other about the teacher's decision."""
    scored = DistillationLoss(CrossEntropy(), Saying(TAUGHT), way("hard"))(STUDENT, BATCH)
    told, shown = surprises(BY_CLASS, [0, 2]), surprises(DISTILLED, [1, 2])
    assert scored.losses.tolist() == pytest.approx([(a + b) / 2 for a, b in zip(told, shown, strict=True)])


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_losses_are_those_of_equation_2(temperature: float) -> None:
    """By hand; the teacher sets alpha of the loss."""
    how = way("soft", alpha=0.1, temperature=temperature)
    scored = DistillationLoss(CrossEntropy(), Saying(TAUGHT), how)(STUDENT, BATCH)
    told, shown = surprises(BY_CLASS, [0, 2]), divergences(temperature)
    assert scored.losses.tolist() == pytest.approx([0.9 * a + 0.1 * b for a, b in zip(told, shown, strict=True)])


def test_a_student_that_says_what_its_teacher_says_has_learned_everything() -> None:
    """No divergence at any temperature."""
    torch.testing.assert_close(soft_distillation_loss(TAUGHT, TAUGHT, 2.5), torch.zeros(2))


def test_the_temperature_does_not_change_the_size_of_gradients() -> None:
    """That is what its square is for: from hot to hotter they differ by less than 5 %."""
    sizes = []
    for temperature in (20.0, 40.0):
        student = DISTILLED.clone().requires_grad_()
        soft_distillation_loss(student, TAUGHT, temperature).sum().backward()
        assert student.grad is not None
        sizes.append(float(student.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_labels_are_smoothed_and_the_teachers_decisions_are_not() -> None:
    """As in DeiT."""
    scored = DistillationLoss(CrossEntropy(smoothing=0.3), Saying(TAUGHT), way("hard"))(STUDENT, BATCH)
    told = CrossEntropy(smoothing=0.3).losses(BY_CLASS, TARGETS).tolist()
    shown = surprises(DISTILLED, [1, 2])
    assert scored.losses.tolist() == pytest.approx([(a + b) / 2 for a, b in zip(told, shown, strict=True)])


def test_a_samples_own_class_weighs_both_of_its_losses() -> None:
    """So that the loss of a step stays the mean over its weights."""
    weights = torch.tensor([0.5, 2.0, 4.0])
    plain, weighed = (
        DistillationLoss(CrossEntropy(weights=given), Saying(TAUGHT), way("hard")) for given in (None, weights)
    )
    torch.testing.assert_close(weighed(STUDENT, BATCH).losses, weights[TARGETS] * plain(STUDENT, BATCH).losses)
    assert weighed.normalizer(TARGETS) == 4.5


def test_predictions_in_training_are_those_of_both_heads() -> None:
    """As in use."""
    scored = DistillationLoss(CrossEntropy(), Saying(TAUGHT), way("hard"))(STUDENT, BATCH)
    torch.testing.assert_close(scored.logits, (BY_CLASS + DISTILLED) / 2)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize(("alpha", "reached"), [(0.0, (True, False)), (0.5, (True, True)), (1.0, (False, True))])
def test_gradients_reach_the_heads_that_alpha_gives_a_share(
    kind: DistillationKind, alpha: float, reached: tuple[bool, bool]
) -> None:
    """The class head learns from labels, the distillation head from the teacher, nothing crosses over."""
    how = way(kind, alpha=alpha)
    student, teacher = make_student(how).train(), build_run(run_card(("roi",)), {})
    DistillationLoss(CrossEntropy(), teacher, how)(student, PICTURES).losses.sum().backward()
    heads = student.roi.backbone.head, student.roi.backbone.head_dist
    assert tuple(bool(head.weight.grad.abs().sum() > 0) for head in heads) == reached


def test_a_teacher_never_changes() -> None:
    """Neither weights nor batch statistics, though its student's training mode came after; it has no gradients."""
    normed = run_card(("roi",))
    backbone = normed.backbones["roi"].model_copy(update={"timm": "test_resnet", "options": {}})
    teacher = build_run(normed.model_copy(update={"backbones": {"roi": backbone}}), {}).train()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    objective, student = DistillationLoss(CrossEntropy(), teacher, way()), make_student()
    optimizer = torch.optim.SGD(student.parameters(), 0.1)
    student.train()
    start = student.state_dict()["roi.backbone.head_dist.weight"].clone()
    objective(student, PICTURES).losses.sum().backward()
    optimizer.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not torch.equal(start, student.state_dict()["roi.backbone.head_dist.weight"])


def test_the_teacher_sees_the_pictures_that_its_student_sees() -> None:
    """Flips included: both are shown the very tensor."""
    seen: list[Tensor | None] = []

    class Looking(Saying):
        """Remembers what it was shown."""

        def forward(self, *views: object) -> Tensor:
            seen.append(views[0])  # type: ignore[arg-type]
            return self.logits

    shown = Batch(torch.arange(2), TARGETS, torch.zeros(2, 3, 4, 4, dtype=torch.uint8), None)
    DistillationLoss(CrossEntropy(), Looking(TAUGHT), way())(Looking(STUDENT.logits), shown)
    assert len(seen) == 2
    assert seen[0] is seen[1] is shown.roi


def test_heads_lie_side_by_side() -> None:
    """Class head first."""
    by_class, distilled = split_heads(STUDENT.logits)
    assert torch.equal(by_class, BY_CLASS)
    assert torch.equal(distilled, DISTILLED)
