"""The loop over epochs: train, test, note down."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.datasets.class_set import find_pair
from pipeline.evaluation.metrics import macro_f1, pair_f1, top1
from pipeline.models.device import Precision, derive_seed
from pipeline.models.rvernet import RveRNet
from pipeline.runtime.errors import TrainingError, counted
from pipeline.training.checkpoint import EpochRecord, RunningMetrics, TrainerState
from pipeline.training.dataset import Batch, EpochPlan, MicroBatch, Split, plan_epoch
from pipeline.training.distributed import current_context
from pipeline.training.losses import ClassWeights
from pipeline.training.optimizer import learning_rate
from pipeline.training.trainer import NonFiniteLossError, Trainer, set_train_mode

# One pass over a split: with updates on train, without on test.


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
    learner: Trainer,
    source: Split,
    plan: EpochPlan,
    *,
    epoch: int,
    done: RunningMetrics,
    on_step: Callable[[RunningMetrics], object],
) -> RunningMetrics:
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
    set_train_mode(learner.model, learner.params)
    ranks = current_context()
    if not done.steps:
        torch.manual_seed(derive_seed(learner.params.seed, "dropout", epoch))
    steps = plan.steps[done.steps :]
    stream = source.stream((ranks.shard(each) for micro_batches in steps for each in micro_batches), learner.device)
    for micro_batches in steps:
        rows = torch.cat([each.rows for each in micro_batches])
        weight = learner.objective.normalizer(source.targets[rows])
        rate = learning_rate(
            learner.params, epoch=epoch, step=done.steps, steps_per_epoch=len(plan.steps), samples=plan.samples
        )
        number = epoch * len(plan.steps) + done.steps
        if ranks.world_size > 1:  # no two processes drop the same units, and a resumed step drops those it would have
            torch.manual_seed(derive_seed(learner.params.seed, "dropout", epoch, done.steps, ranks.rank))
        try:
            sums = learner.step(islice(stream, len(micro_batches)), weight=weight, rate=rate, number=number)
        except NonFiniteLossError as error:
            raise _named(error, source, epoch) from error
        done = done.after_step(
            samples=len(rows), num_correct=sums.num_correct, loss=sums.loss, weight=weight, rate=rate
        )
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
    ranks, device = current_context(), next(model.parameters()).device
    ranks.sync_buffers(model)
    batches = [MicroBatch(rows, None) for rows in torch.split(torch.arange(len(source)), batch_size)]
    mine = source.stream(batches[ranks.rank :: ranks.world_size], device)
    found = ranks.all_gather([_tested(model, batch, precision) for batch in mine])
    ordered = [found[number % ranks.world_size][number // ranks.world_size] for number in range(len(batches))]
    total = 0.0
    for loss, _ in ordered:  # one after another: `sum` rounds in its own way
        total += loss
    return TestPass(total / len(source), torch.cat([logits for _, logits in ordered]))


def _tested(model: RveRNet, batch: Batch, precision: Precision) -> tuple[float, Tensor]:
    """Return the sum of the losses of a batch, and its logits on the CPU."""
    with precision.autocast():
        logits = model(batch.roi, batch.extra_roi).float()
    return float(nn.functional.cross_entropy(logits, batch.targets, reduction="sum")), logits.cpu()


@dataclass(frozen=True)
class RunData:
    """What a run is trained and tested on."""

    train: Split
    """Samples to learn from."""
    test: Split
    """Samples to be tested on after every epoch."""
    weights: ClassWeights
    """How much rare classes count, where the recipe balances them."""
    ambiguous: tuple[int, ...]
    """Targets of the ambiguous categories that the run has."""


@runtime_checkable
class Callback(Protocol):
    """Who keeps checkpoints, curves and a progress bar; nothing it does changes what is trained."""

    def stepped(self, progress: TrainerState) -> None:
        """See an optimiser step done."""

    def trained(self, progress: TrainerState) -> None:
        """See an epoch's last step done, before its test."""

    def tested(self, progress: TrainerState) -> None:
        """See an epoch done; its record is the last one."""


def fit(learner: Trainer, course: RunData, progress: TrainerState, witness: Callback) -> TestPass:
    """Go on from where `progress` stands to the end of the last epoch.

    The test after the last epoch is in fp32, as whoever loads the run will use it; those before it are in the precision
    of training.

    Returns:
        The test after the last epoch.

    Raises:
        TrainingError: If a loss is not finite; the message names the samples.
    """
    epochs, full = learner.params.epochs, Precision("fp32", learner.device.type)
    for epoch in range(progress.epoch, epochs):
        _train(learner, course, progress, witness)
        precision = full if epoch == epochs - 1 else learner.precision
        tested = test_epoch(learner.eval_model, course.test, batch_size=learner.params.batch_size, precision=precision)
        progress.close_epoch(_record(progress, tested, course))
        witness.tested(progress)
    return tested


def _train(learner: Trainer, course: RunData, progress: TrainerState, witness: Callback) -> None:
    def on_step(tally: RunningMetrics) -> None:
        progress.metrics = tally
        witness.stepped(progress)

    params, targets = learner.params, course.train.targets
    plan = plan_epoch(targets, params, progress.epoch, weights=course.weights if params.balance == "sampler" else None)
    train_epoch(learner, course.train, plan, epoch=progress.epoch, done=progress.metrics, on_step=on_step)
    witness.trained(progress)


def _record(progress: TrainerState, tested: TestPass, course: RunData) -> EpochRecord:
    targets, predictions = course.test.targets.numpy(), tested.predictions.numpy()
    pair = find_pair(course.ambiguous, targets)
    return EpochRecord(
        epoch=progress.epoch + 1,
        learning_rate=progress.metrics.rate,
        train_loss=progress.metrics.mean_loss,
        train_top1=progress.metrics.top1,
        test_loss=tested.loss,
        test_top1=top1(targets, predictions),
        test_macro_f1=macro_f1(targets, predictions),
        test_ambiguous_f1=None if pair is None else pair_f1(targets, predictions, pair),
    )
