"""One pass over a split: with updates on train, without on test."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.models.numerics import generator_of, seed_of
from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams
from pipeline.training.batches import draw_flips, split_evenly, take
from pipeline.training.schedule import learning_rate
from pipeline.training.split import Split

LISTED = 10


class TrainPass(NamedTuple):
    """What one epoch of training says of itself, measured while the weights move."""

    loss: float
    """Mean cross-entropy in nats."""
    top1: float
    """Share of right predictions in [0, 1]."""
    learning_rate: float
    """Rate of the last step."""


class TestPass(NamedTuple):
    """What the weights after an epoch say of the test split."""

    loss: float
    """Mean cross-entropy in nats."""
    logits: Float[Tensor, "N K"]
    """By sample, on the CPU."""

    @property
    def predictions(self) -> Int64[Tensor, " N"]:
        """Class of the highest logit by sample."""
        return self.logits.argmax(1)


def train_epoch(  # noqa: PLR0913 - what an epoch depends on
    model: RveRNet,
    split: Split,
    optimizer: torch.optim.Optimizer,
    params: TrainParams,
    *,
    epoch: int,
    on_batch: Callable[[int], object],
) -> TrainPass:
    """Update the model once per batch.

    Order, flips and dropout depend on (seed, epoch) alone, so a resumed run draws what an uninterrupted one would.

    Args:
        model: Trained in place.
        split: Train samples.
        optimizer: Over the model's parameters.
        params: Recipe.
        epoch: From 0.
        on_batch: Called with the number of samples after every step.

    Raises:
        TrainingError: If a loss is not finite; the message names the samples.
    """
    model.train()
    device = next(model.parameters()).device
    torch.manual_seed(seed_of(params.seed, "dropout", epoch))
    order = torch.randperm(len(split), generator=generator_of(params.seed, "order", epoch))
    flip_generator = generator_of(params.seed, "flip", epoch)
    flips = draw_flips(len(split), probability=params.flip, joint=params.joint_flip, generator=flip_generator)
    batches = split_evenly(order, params.batch_size)
    total, hits, rate = 0.0, 0, 0.0
    for step, rows in enumerate(batches):
        batch = take(split, rows, device, flips)
        rate = learning_rate(params, epoch=epoch, step=step, steps_per_epoch=len(batches))
        logits = model(batch.roi, batch.extra_roi)
        losses = nn.functional.cross_entropy(logits, batch.targets, reduction="none")
        total += _finite_sum(losses, split, rows, epoch)
        hits += int((logits.argmax(1) == batch.targets).sum())
        update(optimizer, losses.mean(), rate)
        on_batch(len(rows))
    return TrainPass(total / len(split), hits / len(split), rate)


def update(optimizer: torch.optim.Optimizer, loss: Float[Tensor, ""], rate: float) -> None:
    """Take one step of size `rate` against the gradient of `loss`."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _finite_sum(losses: Float[Tensor, " B"], split: Split, rows: Int64[Tensor, " B"], epoch: int) -> float:
    total = float(losses.detach().sum())
    if not torch.isfinite(losses).all():
        bad = rows[~torch.isfinite(losses).cpu()].tolist()
        names = ", ".join(split.sample_ids[row] for row in bad[:LISTED]) + (", ..." if len(bad) > LISTED else "")
        raise TrainingError(
            f"epoch {epoch + 1}: the loss of {len(bad)} samples is not finite: {names}; look at them with "
            "`python -m pipeline show`, or lower train.learning_rate"
        )
    return total


@torch.no_grad()
def test_epoch(model: RveRNet, split: Split, *, batch_size: int) -> TestPass:
    """Predict every sample of a split in its order; dropout is off and batch statistics stay as they are."""
    model.eval()
    device = next(model.parameters()).device
    total, parts = 0.0, []
    for rows in torch.split(torch.arange(len(split)), batch_size):
        batch = take(split, rows, device, None)
        logits = model(batch.roi, batch.extra_roi)
        total += float(nn.functional.cross_entropy(logits, batch.targets, reduction="sum"))
        parts.append(logits.float().cpu())
    return TestPass(total / len(split), torch.cat(parts))
