"""Passes over a split."""

import pytest
import torch

from pipeline.models.artifact import build_run
from pipeline.models.device import Precision
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import TrainingError
from pipeline.training.checkpoint import RunningMetrics
from pipeline.training.dataset import plan_epoch
from pipeline.training.losses import CrossEntropy
from pipeline.training.trainer import Trainer, evaluate_epoch, train_epoch
from tests.small_run import TRAIN, run_card
from tests.training_data import split_of

PARAMS = TRAIN.model_copy(update={"learning_rate": 3e-3, "batch_size": 4})
FULL = Precision("fp32", "cpu")
SPLIT = split_of(9)
"""So that the last batch would be one sample."""


def make_trainer(params: TrainParams) -> Trainer:
    """Return a tiny model, always the same."""
    return Trainer(build_run(run_card(("roi", "extra_roi")), {}), params, CrossEntropy(), FULL)


def pass_over(made: Trainer, epoch: int, done: RunningMetrics | None = None) -> list[RunningMetrics]:
    """Train for one epoch, or the rest of it; return the tally after every step."""
    plan, tallies = plan_epoch(SPLIT.targets, made.params, epoch, weights=None), list[RunningMetrics]()
    last = train_epoch(made, SPLIT, plan, epoch=epoch, done=done or RunningMetrics(), on_step=tallies.append)
    assert last == tallies[-1]
    return tallies


def test_a_few_samples_can_be_learned_by_heart() -> None:
    """The loss falls far below that of guessing, and the test pass sees it."""
    made = make_trainer(PARAMS.model_copy(update={"flip": 0.0, "learning_rate": 1e-2}))
    losses = [pass_over(made, epoch)[-1].mean_loss for epoch in range(40)]
    assert losses[0] > 1
    assert losses[-1] < 0.2
    tested = evaluate_epoch(made.model, SPLIT, batch_size=4, precision=FULL)
    assert tested.logits.argmax(1).tolist() == SPLIT.targets.tolist()
    assert tested.loss < 0.2


def test_the_tally_adds_up_step_by_step() -> None:
    """Every sample once, the rate of the last step, means over what was seen."""
    tallies = pass_over(make_trainer(PARAMS), 0)
    assert [(tally.steps, tally.samples, tally.normalizer) for tally in tallies] == [(1, 4, 4.0), (2, 9, 9.0)]
    last = tallies[-1]
    assert (last.mean_loss, last.top1, last.rate) == (last.loss / 9, last.num_correct / 9, PARAMS.learning_rate)


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    """Order and flips are drawn from the seed."""
    states = []
    for seed in (0, 0, 1):
        made = make_trainer(PARAMS.model_copy(update={"seed": seed}))
        for epoch in range(2):
            pass_over(made, epoch)
        states.append(torch.cat([p.detach().flatten() for p in made.model.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_an_epoch_goes_on_after_the_steps_that_were_done() -> None:
    """The rest of it ends where the whole of it ends."""
    whole, halves = make_trainer(PARAMS), make_trainer(PARAMS)
    tallies = pass_over(whole, 0)

    def stop(_: RunningMetrics) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train_epoch(
            halves,
            SPLIT,
            plan_epoch(SPLIT.targets, PARAMS, 0, weights=None),
            epoch=0,
            done=RunningMetrics(),
            on_step=stop,
        )
    assert pass_over(halves, 0, tallies[0]) == tallies[1:]
    assert torch.equal(whole.model.head[0].weight, halves.model.head[0].weight)


def test_the_test_pass_changes_nothing() -> None:
    """Neither weights nor statistics, and batches of any size agree."""
    net = make_trainer(PARAMS).model
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    first, second = (evaluate_epoch(net, SPLIT, batch_size=size, precision=FULL) for size in (2, 9))
    assert first.logits.argmax(1).tolist() == second.logits.argmax(1).tolist()
    assert first.loss == pytest.approx(second.loss, rel=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_loss_that_is_not_finite_stops_and_names_the_samples() -> None:
    """Nothing is learned from it."""
    made = make_trainer(PARAMS)
    with torch.no_grad():
        made.model.head[2].bias[0] = float("nan")
    with pytest.raises(TrainingError, match=r"epoch 3: the loss of 4 samples is not finite: test/.*learning_rate"):
        pass_over(made, 2)
