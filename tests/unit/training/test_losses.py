"""What training makes small."""

import math

import pytest
import torch
from torch import nn

from pipeline.models.rvernet import RveRNet
from pipeline.training.dataset import Batch
from pipeline.training.losses import CrossEntropy, class_weights, make_objective
from tests.small_run import TRAIN

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [1.0, 1.0, 1.0]])
TARGETS = torch.tensor([0, 2, 1])
WEIGHTS = torch.tensor([0.5, 2.0, 4.0])
BATCH = Batch(torch.arange(3), TARGETS, None, None)


class Constant(RveRNet):
    """Always says the same."""

    def __init__(self) -> None:
        """Have no branch."""
        super().__init__(None, None, nn.Identity())

    def forward(self, *_: object) -> torch.Tensor:
        """Return the logits."""
        return LOGITS


def probability(row: int, target: int) -> float:
    """Return a softmax by hand."""
    exps = [math.exp(value) for value in LOGITS[row].tolist()]
    return exps[target] / sum(exps)


def test_plain_losses_are_the_surprise_about_the_target() -> None:
    """By hand, and every sample counts 1."""
    scored = CrossEntropy()(Constant(), BATCH)
    expected = [-math.log(probability(row, target)) for row, target in enumerate(TARGETS.tolist())]
    assert scored.losses.tolist() == pytest.approx(expected)
    assert CrossEntropy().normalizer(TARGETS) == 3


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    """By hand: 0.7 of the target's surprise and 0.1 of each class's."""
    losses = CrossEntropy(smoothing=0.3)(Constant(), BATCH).losses
    for row, target in enumerate(TARGETS.tolist()):
        spread = sum(-math.log(probability(row, k)) for k in range(3)) / 3
        assert float(losses[row]) == pytest.approx(-0.7 * math.log(probability(row, target)) + 0.3 * spread)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_step_has_the_mean_that_torch_has(smoothing: float) -> None:
    """Sum of the losses over the sum of the weights."""
    objective = CrossEntropy(smoothing=smoothing, weights=WEIGHTS)
    reference = nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=smoothing)(LOGITS, TARGETS)
    mean = objective(Constant(), BATCH).losses.sum() / objective.normalizer(TARGETS)
    torch.testing.assert_close(mean, reference)
    assert objective.normalizer(TARGETS) == 0.5 + 4 + 2


def test_class_weights_are_inverse_effective_numbers() -> None:
    """By hand for counts 1 and 3 at beta 0.5: effective numbers 1 and 1.75, scaled to a mean of 1 over the samples."""
    weights = class_weights(torch.tensor([1, 0, 1, 1]), 3, 0.5)
    assert float(weights[0] / weights[1]) == pytest.approx(1.75)
    assert float(weights[0] + 3 * weights[1]) == pytest.approx(4)
    assert bool(weights.isfinite().all())  # a class without a sample too


def test_beta_leads_from_no_weights_to_inverse_frequency() -> None:
    """The two ends of the scale."""
    targets = torch.tensor([0] * 90 + [1] * 10)
    assert class_weights(targets, 2, 0.0).tolist() == [1, 1]
    almost = class_weights(targets, 2, 1 - 1e-9)
    assert float(almost[1] / almost[0]) == pytest.approx(9, rel=1e-3)
    rare = torch.tensor([0] * 1000 + [1] * 3)
    ratios = [float(w[1] / w[0]) for w in (class_weights(rare, 2, beta) for beta in (0.99, 0.999))]
    assert ratios == pytest.approx([34, 211], abs=0.5)


def test_only_a_recipe_that_balances_the_loss_weighs_classes() -> None:
    """A sampler already draws rare ones more often."""
    weighing = {
        balance: make_objective(TRAIN.model_copy(update={"balance": balance}), WEIGHTS).weights is not None
        for balance in ("none", "loss", "sampler")
    }
    assert weighing == {"none": False, "loss": True, "sampler": False}


def test_log_softmax_before_cross_entropy_changes_nothing() -> None:
    """The released code has it; plain logits give the same loss and gradient."""
    logits = torch.randn(5, 4, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3, 0])
    losses = [nn.functional.cross_entropy(x, targets) for x in (logits, logits.log_softmax(1))]
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in losses]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])
