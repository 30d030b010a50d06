"""One pass over a split: with updates on train, without on test."""

from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.errors import TrainingError, counted
from pipeline.models.numerics import seed_of
from pipeline.models.rvernet import RveRNet
from pipeline.training.batches import Batch, EpochPlan, MicroBatch
from pipeline.training.dataset import Split
from pipeline.training.freezing import training_mode
from pipeline.training.learner import Learner, NonFiniteLossError
from pipeline.training.precision import Precision
from pipeline.training.progress import Tally
from pipeline.training.ranks import present_ranks
from pipeline.training.schedule import learning_rate

LISTED = 10


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
    learner: Learner,
    source: Split,
    plan: EpochPlan,
    *,
    epoch: int,
    done: Tally,
    on_step: Callable[[Tally], object],
) -> Tally:
    """Take the optimiser steps of an epoch that have not been taken yet.

    Order, flips and dropout depend on (seed, epoch) alone. An epoch that was interrupted goes on from `done`, with the
    generators as they were then, and draws what an uninterrupted one would.

    Args:
        learner: Moves with every step.
        source: Train samples.
        plan: What to draw, from `plan_epoch`.
        epoch: From 0.
        done: What has been done of this epoch.
        on_step: Called with the tally after every step.

    Returns:
        The tally after the last step.

    Raises:
        TrainingError: If a loss is not finite; the message names the samples.
    """
    training_mode(learner.model, learner.params)
    ranks = present_ranks()
    if not done.steps:
        torch.manual_seed(seed_of(learner.params.seed, "dropout", epoch))
    steps = plan.steps[done.steps :]
    stream = source.stream((ranks.share(each) for micro_batches in steps for each in micro_batches), learner.device)
    for micro_batches in steps:
        rows = torch.cat([each.rows for each in micro_batches])
        weight = learner.objective.weigh(source.targets[rows])
        rate = learning_rate(
            learner.params, epoch=epoch, step=done.steps, steps_per_epoch=len(plan.steps), samples=plan.samples
        )
        number = epoch * len(plan.steps) + done.steps
        if ranks.world > 1:  # no two processes drop the same units, and a resumed step drops those it would have
            torch.manual_seed(seed_of(learner.params.seed, "dropout", epoch, done.steps, ranks.rank))
        try:
            sums = learner.step(islice(stream, len(micro_batches)), weight=weight, rate=rate, number=number)
        except NonFiniteLossError as error:
            raise _named(error, source, epoch) from error
        done = done.after_step(samples=len(rows), hits=sums.hits, loss=sums.loss, weight=weight, rate=rate)
        on_step(done)
    return done


def _named(error: NonFiniteLossError, source: Split, epoch: int) -> TrainingError:
    names = ", ".join(source.sample_ids[row] for row in error.rows[:LISTED])
    more = ", ..." if len(error.rows) > LISTED else ""
    return TrainingError(
        f"epoch {epoch + 1}: the loss of {counted(len(error.rows), 'sample')} is not finite: {names}{more}; "
        "look at them with `python -m pipeline show`, or lower train.learning_rate"
    )


@torch.no_grad()
def test_epoch(model: RveRNet, source: Split, *, batch_size: int, precision: Precision) -> TestPass:
    """Predict every sample of a split in its order; dropout is off and batch statistics stay as they are.

    Several processes take the batches in turn; each batch is what it is for one.
    """
    model.eval()
    ranks, device = present_ranks(), next(model.parameters()).device
    ranks.level(model)
    batches = [MicroBatch(rows, None) for rows in torch.split(torch.arange(len(source)), batch_size)]
    mine = source.stream(batches[ranks.rank :: ranks.world], device)
    found = ranks.gathered([_tested(model, batch, precision) for batch in mine])
    ordered = [found[number % ranks.world][number // ranks.world] for number in range(len(batches))]
    total = 0.0
    for loss, _ in ordered:  # one after another: `sum` rounds in its own way
        total += loss
    return TestPass(total / len(source), torch.cat([logits for _, logits in ordered]))


def _tested(model: RveRNet, batch: Batch, precision: Precision) -> tuple[float, Tensor]:
    """Return the sum of the losses of a batch, and its logits on the CPU."""
    with precision.autocast():
        logits = model(batch.roi, batch.extra_roi).float()
    return float(nn.functional.cross_entropy(logits, batch.targets, reduction="sum")), logits.cpu()
