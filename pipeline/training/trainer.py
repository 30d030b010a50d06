"""`Trainer`: a model with its optimiser, gradient scaler and average; its optimiser step, and the loop over epochs."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from jaxtyping import Float
from timm.layers.norm_act import convert_sync_batchnorm
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel

from pipeline.datasets.class_set import ambiguous_pair
from pipeline.evaluation.metrics import EpochRecord, macro_f1, pair_f1, top1
from pipeline.models.device import Precision, derive_seed
from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams
from pipeline.runtime.errors import TrainingError, counted
from pipeline.training.checkpoint import BestEpoch, Callback, RunningMetrics, TrainerState
from pipeline.training.dataset import Batch, EpochPlan, MicroBatch, Split, plan_epoch
from pipeline.training.distributed import current_context
from pipeline.training.losses import ClassWeights, LossOutput, NonFiniteLossError, Objective
from pipeline.training.optimizer import learning_rate, make_optimizer, set_rate

COMPILER = ("torch._dynamo", "torch._inductor")
MAX_LISTED = 10


class StepMetrics(NamedTuple):
    """Sums over the samples of an optimiser step, before it moves the weights."""

    loss: float
    num_correct: int


class _DistributedObjective(nn.Module):
    """The objective inside a module for `DistributedDataParallel`, so that it may look at any part of the model."""

    def __init__(self, model: RveRNet, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.synchronises = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())

    def forward(self, batch: Batch) -> LossOutput:
        """Score a shard; an empty one has zero gradients, so that the other processes are not kept waiting."""
        if len(batch.rows) or self.synchronises:
            return self.objective(self.model, batch)
        trainable = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        empty = torch.stack([parameter.flatten()[:0].sum() for parameter in trainable])[:0]
        return LossOutput(empty, empty.detach()[:, None])


class Trainer:
    """Takes optimiser steps. All state that outlives a step is in `parts`, which a checkpoint saves."""

    model: RveRNet  # moves with every step
    ema_model: ModelEmaV3 | None  # moving average of the weights and batch statistics; None where the recipe has none

    def __init__(self, model: RveRNet, params: TrainParams, objective: Objective, precision: Precision) -> None:
        """Prepare a model that is already on its device: freeze branches, group parameters, compile."""
        self.frozen = [
            branch
            for name, branch in (("roi", model.roi), ("extra_roi", model.extra_roi), ("roi", model.photo))
            if branch is not None and params.freeze in {name, "both"}
        ]
        for branch in self.frozen:
            branch.freeze()
        self.context = current_context()
        distributed = self.context.world_size > 1
        if distributed and next(model.parameters()).device.type != "cpu":  # PyTorch has no such layer for CPUs
            model = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self.model, self.objective, self.precision, self.params = model, objective, precision, params
        self.optimizer: torch.optim.Optimizer = make_optimizer(model, params)
        self.scaler: GradScaler = precision.scaler()
        # EMA decay is warmed up, so that short runs do not evaluate their initialisation.
        self.ema_model = ModelEmaV3(model, decay=params.ema_decay, use_warmup=True) if params.ema_decay else None
        if params.compile:
            importlib.import_module("torch._inductor.config").deterministic = True  # type: ignore[attr-defined]
            # One graph per shape: the kernels of a batch must not depend on what an interrupted run saw before.
            model.compile(dynamic=False)
        self.loss_fn: Callable[[Batch], LossOutput] = partial(objective, model)
        if distributed:
            self.loss_fn = DistributedDataParallel(_DistributedObjective(model, objective))

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    @property
    def eval_model(self) -> RveRNet:
        """Model that is evaluated and saved: the moving average where there is one."""
        if self.ema_model is None:
            return self.model
        averaged: RveRNet = self.ema_model.module
        return averaged

    @property
    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | GradScaler]:
        """Everything with a state, by its name in a checkpoint."""
        averages = {} if self.ema_model is None else {"average": self.eval_model}
        return {"model": self.model, "optimizer": self.optimizer, "scaler": self.scaler, **averages}

    def train_mode(self) -> None:
        """Enable dropout and batch statistics, except in frozen branches."""
        self.model.train()
        for branch in self.frozen:
            branch.eval()

    def step(self, micro_batches: Iterable[Batch], *, normalizer: float, rate: float, global_step: int) -> StepMetrics:
        """Take one optimiser step for the samples of all micro-batches together.

        The gradient is that of the whole batch within rounding, however it is split. What a layer computes over a
        batch (batch statistics, dropout masks) it computes over each micro-batch.

        `normalizer` is what the objective divides the sum of the losses by; `global_step` counts from 0.

        Raises:
            NonFiniteLossError: If a loss is not finite; the weights have not moved.
            TrainingError: If the device runs out of memory, or the model cannot be compiled.
        """
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        sums = [self._backward(batch, normalizer) for batch in micro_batches]
        if self.params.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.params.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema_model is not None:
            self.ema_model.update(self.model, global_step + 1)
        return StepMetrics(sum(part.loss for part in sums), sum(part.num_correct for part in sums))

    def _backward(self, batch: Batch, normalizer: float) -> StepMetrics:
        """Add the gradients of a micro-batch; return its sums over all processes."""
        try:
            with self.precision.autocast():
                output: LossOutput = self.loss_fn(batch)
            # DDP averages the gradients of the processes, each of a part of the sum: hence times their number.
            loss = output.losses.sum() / (normalizer / self.context.world_size)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            # One read of the device per micro-batch, after its backward pass is queued.
            losses = output.losses.detach()
            num_correct = (output.logits.detach().argmax(1) == batch.targets).sum()
            failed = ~losses.isfinite()
            sums = torch.stack((losses.sum(), num_correct.to(losses.dtype), failed.any().to(losses.dtype)))
            total, correct, any_failed = self.context.all_reduce(sums).tolist()
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the device has not enough memory for {counted(len(batch.rows), 'sample')} a pass; "
                "raise train.accumulate"
            ) from error
        except RuntimeError as error:
            if not type(error).__module__.startswith(COMPILER):  # by name: importing the compiler takes a second
                raise
            raise TrainingError(
                f"train.compile: {str(error).strip().splitlines()[0]}; install what is missing (g++, or triton on a "
                "GPU), or set train.compile to false"
            ) from error
        if any_failed:
            gathered: list[list[int]] = self.context.all_gather(batch.rows[failed.cpu()].tolist())
            raise NonFiniteLossError([row for rows in gathered for row in rows])
        return StepMetrics(total, int(correct))


def train_epoch(  # noqa: PLR0913 - what an epoch depends on
    trainer: Trainer,
    split: Split,
    plan: EpochPlan,
    *,
    epoch: int,
    done: RunningMetrics,
    on_step: Callable[[RunningMetrics], object],
) -> RunningMetrics:
    """Take the remaining optimiser steps of an epoch.

    Order, flips and dropout depend on (seed, epoch) alone. An interrupted epoch goes on with the states of the
    generators at that time, and draws what an uninterrupted one would.

    Args:
        trainer: Takes the steps.
        split: Samples to train on.
        plan: Order and flips of the epoch.
        epoch: From 0.
        done: Metrics of the steps that are done.
        on_step: Called with the metrics after every step.

    Returns:
        The metrics after the last step.

    Raises:
        TrainingError: If a loss is not finite; the message names the samples.
    """
    trainer.train_mode()
    params, context = trainer.params, trainer.context
    if not done.steps:
        torch.manual_seed(derive_seed(params.seed, "dropout", epoch))
    steps = plan.steps[done.steps :]
    stream = split.stream((context.shard(each) for micro_batches in steps for each in micro_batches), trainer.device)
    for micro_batches in steps:
        rows = torch.cat([each.rows for each in micro_batches])
        normalizer = trainer.objective.normalizer(split.targets[rows])
        rate = learning_rate(
            params, epoch=epoch, step=done.steps, steps_per_epoch=len(plan.steps), samples=plan.samples
        )
        if context.world_size > 1:  # another dropout mask per process, and the same one when a step is resumed
            torch.manual_seed(derive_seed(params.seed, "dropout", epoch, done.steps, context.rank))
        global_step = epoch * len(plan.steps) + done.steps
        try:
            batches = islice(stream, len(micro_batches))
            sums = trainer.step(batches, normalizer=normalizer, rate=rate, global_step=global_step)
        except NonFiniteLossError as error:
            names = ", ".join(split.sample_ids[row] for row in error.rows[:MAX_LISTED])
            more = ", ..." if len(error.rows) > MAX_LISTED else ""
            raise TrainingError(
                f"epoch {epoch + 1}: the loss of {counted(len(error.rows), 'sample')} is not finite: {names}{more}; "
                "look at them with `python -m pipeline show`, or lower train.learning_rate"
            ) from error
        done = RunningMetrics(
            steps=done.steps + 1,
            samples=done.samples + len(rows),
            num_correct=done.num_correct + sums.num_correct,
            loss=done.loss + sums.loss,
            normalizer=done.normalizer + normalizer,
            rate=rate,
        )
        on_step(done)
    return done


class EpochEvaluation(NamedTuple):
    """A split as predicted after an epoch."""

    split: Split
    loss: float  # mean cross-entropy in nats
    logits: Float[Tensor, "N K"]  # on the CPU

    def scores(self) -> tuple[float, float, float]:
        """Return loss, top-1 and macro F1."""
        targets, predictions = self.split.targets.numpy(), self.logits.argmax(1).numpy()
        return self.loss, top1(targets, predictions), macro_f1(targets, predictions)


@torch.no_grad()
def evaluate_epoch(model: RveRNet, split: Split, *, batch_size: int, precision: Precision) -> EpochEvaluation:
    """Predict every sample of a split in its order, in eval mode; several processes take the batches in turn."""
    model.eval()
    context, device = current_context(), next(model.parameters()).device
    context.sync_buffers(model)
    batches = [MicroBatch(rows, None) for rows in torch.split(torch.arange(len(split)), batch_size)]
    own: list[tuple[float, Tensor]] = []
    for batch in split.stream(batches[context.rank :: context.world_size], device):
        with precision.autocast():
            logits = model(*batch.inputs).float()
        own.append((float(nn.functional.cross_entropy(logits, batch.targets, reduction="sum")), logits.cpu()))
    gathered = context.all_gather(own)
    ordered = [gathered[i % context.world_size][i // context.world_size] for i in range(len(batches))]
    total = 0.0
    for loss, _ in ordered:  # `sum` rounds otherwise
        total += loss
    return EpochEvaluation(split, total / len(split), torch.cat([logits for _, logits in ordered]))


@dataclass(frozen=True)
class RunData:
    """Samples and class statistics of a run."""

    train: Split
    validation: Split | None  # chooses and calibrates; None without a validation split
    test: Split | None  # for test curves; None without
    class_weights: ClassWeights
    ambiguous: tuple[int, ...]  # targets of the ambiguous categories that the run has


def fit(trainer: Trainer, data: RunData, state: TrainerState, callbacks: Sequence[Callback]) -> EpochEvaluation | None:
    """Train from `state` to the end of the last epoch, and leave the weights of the selected one in `eval_model`.

    Returns:
        The validation split as these weights predict it, None without one: in fp32, as a loaded run computes;
        evaluations before the last epoch are in the precision of training.

    Raises:
        TrainingError: If a loss is not finite; the message names the samples.
    """
    params, precision = trainer.params, trainer.precision
    sampling = data.class_weights if params.balance == "sampler" else None

    def on_step(metrics: RunningMetrics) -> None:
        state.metrics = metrics
        for callback in callbacks:
            callback.on_step_end(state)

    for epoch in range(state.epoch, params.epochs):
        plan = plan_epoch(data.train.targets, params, epoch, weights=sampling)
        train_epoch(trainer, data.train, plan, epoch=epoch, done=state.metrics, on_step=on_step)
        for callback in callbacks:
            callback.on_train_epoch_end(state)
        if epoch == params.epochs - 1:
            precision = Precision("fp32", trainer.device.type)
        record, validation = _evaluate_splits(trainer, data, state, precision)
        accuracy = record.validation_top1 if params.select == "best_validation" else None
        if accuracy is not None and (state.best is None or accuracy > state.best.top1):
            tensors = {name: each.to("cpu", copy=True) for name, each in trainer.eval_model.state_dict().items()}
            state.best = BestEpoch(record.epoch, accuracy, tensors)
        state.records.append(record)
        state.epoch, state.metrics = epoch + 1, RunningMetrics()
        for callback in callbacks:
            callback.on_epoch_end(state)
    if data.validation is not None and state.best is not None and state.best.epoch < params.epochs:
        trainer.eval_model.load_state_dict(state.best.weights)
        return evaluate_epoch(trainer.eval_model, data.validation, batch_size=params.batch_size, precision=precision)
    return validation


def _evaluate_splits(
    trainer: Trainer, data: RunData, state: TrainerState, precision: Precision
) -> tuple[EpochRecord, EpochEvaluation | None]:
    """Return the record of the epoch that ends, and the validation split as predicted; None without one."""
    size, running = trainer.params.batch_size, state.metrics
    record, validation = EpochRecord(state.epoch + 1, running.rate, running.mean_loss, running.top1), None
    if data.validation is not None:
        validation = evaluate_epoch(trainer.eval_model, data.validation, batch_size=size, precision=precision)
        loss, accuracy, f1 = validation.scores()
        record = record._replace(validation_loss=loss, validation_top1=accuracy, validation_macro_f1=f1)
    if data.test is not None:
        test = evaluate_epoch(trainer.eval_model, data.test, batch_size=size, precision=precision)
        loss, accuracy, f1 = test.scores()
        targets = data.test.targets.numpy()
        pair = ambiguous_pair(data.ambiguous, targets)
        of_pair = None if pair is None else pair_f1(targets, test.logits.argmax(1).numpy(), pair)
        record = record._replace(test_loss=loss, test_top1=accuracy, test_macro_f1=f1, test_ambiguous_f1=of_pair)
    return record, validation
