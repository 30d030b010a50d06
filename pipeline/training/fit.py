"""The loop over epochs: train, test, note down."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pipeline.datasets.class_set import find_pair
from pipeline.evaluation.metrics import macro_f1, pair_f1, top1
from pipeline.training.batches import plan_epoch
from pipeline.training.dataset import Split
from pipeline.training.epoch import TestPass, test_epoch, train_epoch
from pipeline.training.history import EpochRecord
from pipeline.training.learner import Learner
from pipeline.training.objective import ClassWeights
from pipeline.training.precision import Precision
from pipeline.training.progress import Progress, Tally


@dataclass(frozen=True)
class Course:
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
class Witness(Protocol):
    """Who keeps checkpoints, curves and a progress bar; nothing it does changes what is trained."""

    def stepped(self, progress: Progress) -> None:
        """See an optimiser step done."""

    def trained(self, progress: Progress) -> None:
        """See an epoch's last step done, before its test."""

    def tested(self, progress: Progress) -> None:
        """See an epoch done; its record is the last one."""


def fit(learner: Learner, course: Course, progress: Progress, witness: Witness) -> TestPass:
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
        tested = test_epoch(learner.judged, course.test, batch_size=learner.params.batch_size, precision=precision)
        progress.close_epoch(_record(progress, tested, course))
        witness.tested(progress)
    return tested


def _train(learner: Learner, course: Course, progress: Progress, witness: Witness) -> None:
    def on_step(tally: Tally) -> None:
        progress.tally = tally
        witness.stepped(progress)

    params, targets = learner.params, course.train.targets
    plan = plan_epoch(targets, params, progress.epoch, weights=course.weights if params.balance == "sampler" else None)
    train_epoch(learner, course.train, plan, epoch=progress.epoch, done=progress.tally, on_step=on_step)
    witness.trained(progress)


def _record(progress: Progress, tested: TestPass, course: Course) -> EpochRecord:
    targets, predictions = course.test.targets.numpy(), tested.predictions.numpy()
    pair = find_pair(course.ambiguous, targets)
    return EpochRecord(
        epoch=progress.epoch + 1,
        learning_rate=progress.tally.rate,
        train_loss=progress.tally.mean_loss,
        train_top1=progress.tally.top1,
        test_loss=tested.loss,
        test_top1=top1(targets, predictions),
        test_macro_f1=macro_f1(targets, predictions),
        test_ambiguous_f1=None if pair is None else pair_f1(targets, predictions, pair),
    )
