"""Optimiser steps."""

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.artifact import build_run
from pipeline.models.device import Name, Precision
from pipeline.models.rvernet import RveRNet
from pipeline.runtime.errors import TrainingError
from pipeline.training.dataset import Batch, MicroBatch
from pipeline.training.losses import CrossEntropy, LossOutput, NonFiniteLossError, Objective
from pipeline.training.trainer import Trainer
from tests.small_run import TRAIN, backbone_card, run_card
from tests.training_data import split_of

SAMPLES = 12
SPLIT = split_of(SAMPLES)
NORMED = backbone_card("normed").model_copy(update={"timm": "test_resnet", "options": {}})
"""A backbone with batch normalisation."""


def make_trainer(
    *, precision: Name = "fp32", objective: Objective | None = None, normed: bool = False, **changes: object
) -> Trainer:
    """Return a tiny model of two branches in training mode, always the same at the start."""
    params = TRAIN.model_copy(update={"optimizer": "sgd"} | changes)
    card = run_card(("roi", "extra_roi")).model_copy(update={"train": params})
    if normed:
        card = card.model_copy(update={"backbones": dict.fromkeys(card.backbones, NORMED)})
    made = Trainer(build_run(card, {}), params, objective or CrossEntropy(), Precision(precision, "cpu"))
    made.train_mode()
    return made


def passes(count: int) -> Iterable[Batch]:
    """Cut the samples into that many batches."""
    return SPLIT.stream([MicroBatch(rows, None) for rows in torch.arange(SAMPLES).chunk(count)], torch.device("cpu"))


def step(made: Trainer, *, count: int = 1, rate: float = 0.1, number: int = 0) -> None:
    """Take one step on all samples."""
    made.step(passes(count), normalizer=made.objective.normalizer(SPLIT.targets), rate=rate, global_step=number)


def state(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all tensors of a model."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def gradient(made: Trainer) -> Tensor:
    """Return all gradients in one row."""
    return torch.cat([p.grad.flatten() for p in made.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 5.0, 0.5, 2.0])])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_passes_move_the_weights_as_the_large_batch_does(count: int, weights: Tensor | None) -> None:
    """Within rounding, also where passes are of different size and classes weigh differently."""
    one, many = (make_trainer(objective=CrossEntropy(weights=weights, smoothing=0.1)) for _ in range(2))
    before = state(one.model)
    step(one)
    step(many, count=count)
    torch.testing.assert_close(gradient(many), gradient(one), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(state(many.model), state(one.model))
    assert not torch.equal(state(one.model)["head.0.weight"], before["head.0.weight"])


def test_batch_statistics_are_of_passes() -> None:
    """The one difference to a large batch, as the parameter's comment says."""
    one, many = make_trainer(normed=True), make_trainer(normed=True)
    step(one)
    step(many, count=2)
    counted = "roi.backbone.bn1.num_batches_tracked"
    assert (int(state(one.model)[counted]), int(state(many.model)[counted])) == (1, 2)


def test_sums_are_those_of_all_passes() -> None:
    """Losses and hits of every sample once."""
    made, other = make_trainer(), make_trainer()
    one = made.step(passes(1), normalizer=float(SAMPLES), rate=0.1, global_step=0)
    many = other.step(passes(4), normalizer=float(SAMPLES), rate=0.1, global_step=0)
    assert many.loss == pytest.approx(one.loss)
    assert many.num_correct == one.num_correct


@pytest.mark.parametrize("bound", [1e-3, 1e-1])
def test_clipping_bounds_the_norm_of_all_gradients_together(bound: float) -> None:
    """And keeps their direction; a bound above the norm changes nothing."""
    free, clipped, loose = make_trainer(), make_trainer(clip_norm=bound), make_trainer(clip_norm=1e6)
    for made in (free, clipped, loose):
        step(made)
    assert gradient(free).norm() > bound
    assert float(gradient(clipped).norm()) == pytest.approx(bound, rel=1e-3)
    assert float(nn.functional.cosine_similarity(gradient(free), gradient(clipped), dim=0)) == pytest.approx(1)
    assert torch.equal(gradient(free), gradient(loose))


def test_a_frozen_branch_has_no_gradient_and_keeps_its_bytes() -> None:
    """Batch statistics and dropout included, while everything else moves."""
    made = make_trainer(normed=True, freeze="roi", ema_decay=0.9)
    before = state(made.model)
    for number in range(2):
        step(made, number=number)
    after = state(made.model)
    assert made.model.roi is not None
    assert all(parameter.grad is None for parameter in made.model.roi.parameters())
    assert not made.model.roi.training
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("roi.")} <= same
    assert "extra_roi.backbone.bn1.running_mean" not in same
    assert "head.0.weight" not in same
    assert all(
        torch.equal(before[name], tensor) for name, tensor in state(made.eval_model).items() if "roi" in name[:3]
    )


@pytest.mark.parametrize("frozen", ["roi", "extra_roi", "both"])
def test_freezing_one_of_two_branches_with_one_set_of_weights_freezes_it(frozen: str) -> None:
    """There is nothing else to freeze; batch statistics stay, and the head learns."""
    made = make_trainer(normed=True, freeze=frozen, share_branches=True)
    before = state(made.model)
    step(made)
    moved = {name for name, tensor in state(made.model).items() if not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if name.startswith("head.")}


@pytest.mark.parametrize("changes", [{"layer_decay": 0.5}, {"weight_decay": 0.1}, {"layer_decay": 0.5, "clip_norm": 1}])
def test_shared_weights_are_in_one_group_and_move_once(changes: dict[str, float]) -> None:
    """Torch's optimisers refuse a parameter twice; with layer decay its rate is that of its layer."""
    made = make_trainer(share_branches=True, **changes)
    grouped = [parameter for group in made.optimizer.param_groups for parameter in group["params"]]
    assert len(grouped) == len({id(parameter) for parameter in grouped}) == len(list(made.model.parameters()))
    step(made)


def test_both_branches_frozen_leave_a_head_on_fixed_features() -> None:
    """And freezing a branch that is absent freezes nothing."""
    made = make_trainer(freeze="both")
    trained = [name for name, parameter in made.model.named_parameters() if parameter.requires_grad]
    assert trained == [name for name, _ in made.model.named_parameters() if name.startswith("head.")]
    lone = Trainer(
        build_run(run_card(("roi",)), {}), TRAIN.model_copy(update={"freeze": "extra_roi"}), CrossEntropy(),
        Precision("fp32", "cpu"),
    )  # fmt: skip
    assert all(parameter.requires_grad for parameter in lone.model.parameters())


def test_the_average_of_constant_weights_is_those_weights() -> None:
    """Bit for bit, after any number of steps of rate 0."""
    made = make_trainer(ema_decay=0.99)
    before = state(made.model)
    for number in range(3):
        step(made, rate=0.0, number=number)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(made.eval_model).items())


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["head.0.weight", "roi.backbone.cls_token"])
def test_the_average_follows_the_weights_by_hand(name: str, *, shared: bool) -> None:
    """The first step is copied; later ones come in by the decay, less while the average is young (timm's warm-up)."""
    made, seen = make_trainer(ema_decay=0.3, share_branches=shared), []
    for number in range(4):
        step(made, number=number)
        seen.append(state(made.model)[name])
    expected = seen[0]
    for number, weight in enumerate(seen[1:], 1):
        decay = min(0.3, 1 - (1 + number) ** (-2 / 3))
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(state(made.eval_model)[name], expected)
    assert made.eval_model is not made.model
    assert (made.eval_model.extra_roi is made.eval_model.roi) == shared


def test_without_an_average_the_model_itself_is_judged() -> None:
    """And a checkpoint holds no second copy of it."""
    made = make_trainer()
    assert made.eval_model is made.model
    assert set(made.parts) == {"model", "optimizer", "scaler"}
    assert set(make_trainer(ema_decay=0.5).parts) == {"model", "optimizer", "scaler", "average"}


def test_bf16_moves_fp32_weights_nearly_as_fp32_does() -> None:
    """To the three digits that bf16 has."""
    exact, mixed = make_trainer(), make_trainer(precision="bf16")
    for made in (exact, mixed):
        step(made)
    assert {p.dtype for p in mixed.model.parameters()} == {torch.float32}
    torch.testing.assert_close(gradient(mixed), gradient(exact), rtol=0.1, atol=0.02)
    assert not torch.equal(gradient(mixed), gradient(exact))


def test_fp16_scales_up_and_down_again() -> None:
    """The step is the one without scaling; a gradient that overflows skips the step and halves the scale."""
    exact, mixed = make_trainer(clip_norm=1e6), make_trainer(precision="fp16", clip_norm=1e6)
    for made in (exact, mixed):
        step(made)
    torch.testing.assert_close(gradient(mixed), gradient(exact), rtol=0.1, atol=0.02)
    before, scale = state(mixed.model), mixed.scaler.get_scale()
    mixed.scaler.load_state_dict(mixed.scaler.state_dict() | {"scale": 3e38})
    step(mixed)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(mixed.model).items())
    assert mixed.scaler.get_scale() == pytest.approx(1.5e38)
    assert scale < 3e38


class Poisoned(CrossEntropy):
    """Cannot judge some rows."""

    def __call__(self, model: RveRNet, batch: Batch) -> LossOutput:
        """Spoil rows 3 and 7."""
        scored = super().__call__(model, batch)
        bad = (batch.rows == 3) | (batch.rows == 7)
        return LossOutput(scored.losses.where(~bad, torch.nan), scored.logits)


def test_a_loss_that_is_not_finite_moves_nothing_and_names_its_rows() -> None:
    """Also where an earlier pass was fine."""
    made = make_trainer(objective=Poisoned())
    before = state(made.model)
    with pytest.raises(NonFiniteLossError) as caught:
        step(made, count=6)
    assert caught.value.rows == [3]
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(made.model).items())


class Exhausted(CrossEntropy):
    """Meets what a machine can fail with."""

    def __init__(self, error: RuntimeError) -> None:
        """Take the failure."""
        super().__init__()
        self.error = error

    def __call__(self, *_: object) -> LossOutput:
        """Fail."""
        raise self.error


def test_what_a_machine_lacks_is_said_in_one_line() -> None:
    """Memory here; errors of this code pass unchanged."""
    with pytest.raises(TrainingError, match="not enough memory for 6 samples a pass; raise train.accumulate"):
        step(make_trainer(objective=Exhausted(torch.OutOfMemoryError("CUDA out of memory"))), count=2)
    with pytest.raises(RuntimeError, match="^a mistake$"):
        step(make_trainer(objective=Exhausted(RuntimeError("a mistake"))))
