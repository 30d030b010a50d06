"""Passes over a split."""

import pytest
import torch
from torch import nn

from pipeline.errors import TrainingError
from pipeline.models.package import build_run
from pipeline.models.pixels import to_tensor
from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams
from pipeline.training.epoch import test_epoch as evaluate_epoch
from pipeline.training.epoch import train_epoch, update
from pipeline.training.optimizer import make_optimizer
from pipeline.training.split import Split
from tests.judged_run import TRAIN, random_batch, run_card

PARAMS = TRAIN.model_copy(update={"learning_rate": 3e-3, "batch_size": 4})


@pytest.fixture
def split() -> Split:
    """Return nine samples, so that the last batch would be one sample."""
    batch = random_batch(9)
    return Split(batch.sample_ids, torch.from_numpy(batch.targets), to_tensor(batch.roi), to_tensor(batch.extra_roi))


def model() -> RveRNet:
    """Return a tiny model, always the same."""
    return build_run(run_card(("roi", "extra_roi")), {})


def trained(split: Split, params: TrainParams, epochs: int) -> tuple[RveRNet, list[float]]:
    """Train for some epochs; return the model and the losses."""
    net = model()
    optimizer, counted = make_optimizer(net, params), list[int]()
    losses = [
        train_epoch(net, split, optimizer, params, epoch=epoch, on_batch=counted.append).loss for epoch in range(epochs)
    ]
    assert counted == [4, 5] * epochs
    return net, losses


def test_a_few_samples_can_be_learned_by_heart(split: Split) -> None:
    """The loss falls far below that of guessing, and the test pass sees it."""
    net, losses = trained(split, PARAMS.model_copy(update={"flip": 0.0, "learning_rate": 1e-2}), 40)
    assert losses[0] > 1
    assert losses[-1] < 0.2
    tested = evaluate_epoch(net, split, batch_size=4)
    assert tested.predictions.tolist() == split.targets.tolist()
    assert tested.loss < 0.2


def test_the_same_seed_gives_the_same_weights_and_another_does_not(split: Split) -> None:
    """Order and flips are drawn from the seed."""
    states = [
        torch.cat(
            [p.detach().flatten() for p in trained(split, PARAMS.model_copy(update={"seed": seed}), 2)[0].parameters()]
        )
        for seed in (0, 0, 1)
    ]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_the_test_pass_changes_nothing(split: Split) -> None:
    """Neither weights nor statistics, and batches of any size agree."""
    net = model()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    first, second = (evaluate_epoch(net, split, batch_size=size) for size in (2, 9))
    assert first.predictions.tolist() == second.predictions.tolist()
    assert first.loss == pytest.approx(second.loss, rel=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_loss_that_is_not_finite_stops_and_names_the_samples(split: Split) -> None:
    """Nothing is learned from it."""
    net = model()
    with torch.no_grad():
        net.head[2].bias[0] = float("nan")
    with pytest.raises(TrainingError, match=r"epoch 3: the loss of 4 samples is not finite: test/.*learning_rate"):
        train_epoch(net, split, make_optimizer(net, PARAMS), PARAMS, epoch=2, on_batch=lambda _: None)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_an_update_steps_by_the_given_rate(name: str) -> None:
    """Rate 0, as in the first epoch of the released code, moves nothing; a rate moves against the gradient."""
    layer = nn.Linear(2, 1)
    optimizer = make_optimizer(layer, TRAIN.model_copy(update={"optimizer": name}))
    before = layer.weight.detach().clone()
    update(optimizer, layer(torch.ones(1, 2)).sum(), 0.0)
    assert torch.equal(layer.weight, before)
    update(optimizer, layer(torch.ones(1, 2)).sum(), 0.1)
    assert bool((layer.weight < before).all())


def test_log_softmax_before_cross_entropy_changes_nothing() -> None:
    """The released code has it; plain logits give the same loss and gradient."""
    logits = torch.randn(5, 4, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3, 0])
    losses = [nn.functional.cross_entropy(x, targets) for x in (logits, logits.log_softmax(1))]
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in losses]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])
