"""Train one run: RveRNet with two backbones, or one backbone alone on one view."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import timm
import torch
from safetensors import SafetensorError
from torch import Tensor

from pipeline.datasets.class_set import ClassMap, select_classes
from pipeline.datasets.sample_batch import FoodVisible, share_visible
from pipeline.datasets.shards import Shards, read_preprocessing
from pipeline.evaluation.calibration import fit_temperature
from pipeline.models.artifact import (
    BranchName,
    Calibration,
    FinalMetrics,
    RunCard,
    RunConfig,
    RunEnvironment,
    build_run,
    save_run,
)
from pipeline.models.card import WEIGHTS, BackboneCard, read_card
from pipeline.models.device import Precision, choose_precision, free_pixel_bytes, pick_device
from pipeline.models.rvernet import RveRNet
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.runtime import RuntimeParams
from pipeline.runtime.console import note, progress_bar
from pipeline.runtime.errors import ModelError, TrainingError, WeightsError, counted, raise_if_machine_error
from pipeline.runtime.manifest import sha256_of, sha256_of_manifest
from pipeline.runtime.resources import default_memory_budget, format_bytes, local_world_size
from pipeline.runtime.resumable import publish
from pipeline.runtime.stores import Place
from pipeline.training.callbacks import HISTORY, LiveCurves, TrainingCallback
from pipeline.training.checkpoint import Checkpoint, CheckpointTimer, EpochRecord, write_history
from pipeline.training.dataset import MemoryBudget, Split, load_splits
from pipeline.training.distributed import current_context
from pipeline.training.launch import work_dir
from pipeline.training.loop import RunData, TestPass, fit
from pipeline.training.losses import ClassWeights, DistillationLoss, class_weights, make_objective
from pipeline.training.trainer import Trainer

CHECKPOINT = "checkpoint.pt"
VERSIONS = {module.__name__: module.__version__.partition("+")[0] for module in (torch, timm)}


def train(  # noqa: PLR0913 - every path and name of the stage
    params: TrainParams,
    *,
    run: str,
    roi: str,
    extra_roi: str,
    class_set: ClassSetParams,
    classes: str,
    shards: Place,
    weights: Path,
    output: Path,
    runtime: RuntimeParams,
) -> None:
    """Write the package of one run (`model.safetensors`, `run.json`) and its `history.csv` to `output`.

    An interrupted run goes on from its last checkpoint and ends, on a CPU, in the very same bytes.

    `roi` and `extra_roi` name a backbone each, or none; `weights` holds one folder a backbone; `classes` is the name of
    `class_set`; `runtime` says where the run is trained and how often a checkpoint is written.

    Raises:
        ModelError: If both branches are absent or a backbone cannot be built.
        ParamsError: If the class set does not fit the categories, or the device or its precision is not there.
        SpaceError: If pixels go to a file and the disk has no room for it.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
    """
    source = Shards(shards)
    class_map = select_classes(source.categories, class_set.exclude)
    precision = choose_precision(params.precision, pick_device(runtime.device))
    if precision.device == "cuda" and precision.name == "fp32":
        note(f"train {run}: in fp32; bf16 is faster on this GPU and another result: -S train.precision=bf16")
    plan = RunConfig(
        run=run,
        roi=roi,
        extra_roi=extra_roi,
        classes=classes,
        class_names=class_map.names,
        ambiguous=tuple(name for name in class_set.ambiguous if name in class_map.names),
        image_size=source.image_size,
        preprocessing=read_preprocessing(source),
        backbones=_cards(weights, {"roi": roi, "extra_roi": extra_roi}),
        train=params,
        made_with=describe_environment(precision),
        shards_sha256=sha256_of_manifest(shards),
    )
    run_training(plan, class_map, source, weights=weights, output=output, runtime=runtime)


def describe_environment(precision: Precision) -> RunEnvironment:
    """Say what a run is trained with in this process."""
    return RunEnvironment(device=precision.device, precision=precision.name, versions=VERSIONS)


def run_training(  # noqa: PLR0913 - the plan, what it is trained on, and where
    plan: RunConfig,
    class_map: ClassMap,
    source: Shards,
    *,
    weights: Path,
    output: Path,
    runtime: RuntimeParams,
    teacher: RveRNet | None = None,
) -> None:
    """Train what a plan says and write its package; see `train`.

    Args:
        plan: What to train.
        class_map: How the shards' targets become the run's.
        source: Shards that the plan names.
        weights: One folder a backbone.
        output: Folder to write.
        runtime: Where, and how often a checkpoint is written.
        teacher: Model on the run's device that teaches, where the plan has a distillation.

    Raises:
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
        WeightsError: If pre-trained weights are absent, damaged or others than the plan's.
    """
    ranks = current_context()
    plan = plan.replace(train=plan.train.model_copy(update={"devices": ranks.world_size}))
    identity = plan.model_dump_json(exclude={"train": {"devices"}})  # a run may go on with another number of processes
    with work_dir("train", identity, output, ranks) as (folder, published):
        shutil.rmtree(published, ignore_errors=True)  # so that the curves shown there are this run's
        splits = _splits(plan, class_map, source, folder, runtime)
        balance = class_weights(splits[0].targets, len(class_map.names), plan.train.balance_beta)
        learner = _learner(plan, balance, _tensors(weights, plan), teacher)
        # After the model, whose room on a GPU comes first.
        course = RunData(*_on_device(splits, learner.device), balance, class_map.positions(plan.ambiguous))
        checkpoint = Checkpoint(folder / CHECKPOINT, identity, learner.parts, learner.device)
        tested, records = _fit(plan, learner, course, checkpoint, published, runtime)
        finished = folder / "finished"
        shutil.rmtree(finished, ignore_errors=True)  # its files may be links into DVC's cache
        finished.mkdir()
        card = _build_run_card(plan, learner.eval_model, course, tested, records[-1])
        save_run(learner.eval_model, card, finished)
        write_history(records, finished / HISTORY)
        publish(finished, published)


def _cards(weights: Path, names: Mapping[BranchName, str]) -> dict[BranchName, BackboneCard]:
    cards = {branch: read_card(weights / name) for branch, name in names.items()}
    present = {branch: card for branch, card in cards.items() if card.timm is not None}
    if not present:
        valid = ", ".join(sorted(path.name for path in weights.iterdir() if path.name not in names.values()))
        raise ModelError(f"params.yaml: roi and extra_roi are both none; give at least one a backbone: {valid}")
    return present


def _tensors(weights: Path, plan: RunConfig) -> dict[BranchName, dict[str, Tensor] | None]:
    return {
        branch: None if backbone.source == "none" else _pretrained(weights / backbone.name / WEIGHTS, backbone)
        for branch, backbone in plan.backbones.items()
    }


def _pretrained(path: Path, backbone: BackboneCard) -> dict[str, Tensor]:
    stage = f"weights@{path.parent.name}"
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise_if_machine_error(path, error)
        raise WeightsError(f"{path}: absent or damaged ({error}); run `dvc repro -f {stage}`") from error
    if backbone.stored_sha256 not in {None, sha256_of(path)}:
        raise WeightsError(f"{path}: not the weights that {backbone.name}'s card names; run `dvc repro {stage}`")
    return tensors


def _splits(
    plan: RunConfig, class_map: ClassMap, source: Shards, folder: Path, runtime: RuntimeParams
) -> tuple[Split, Split]:
    """Read the train and the test split."""
    allowed = runtime.memory_bytes() // local_world_size() or default_memory_budget()
    budget = MemoryBudget(allowed, folder)
    source = source.paired(plan.train.pairing, class_map.names)
    train, test = load_splits(source, class_map, views=frozenset(plan.backbones), budget=budget)
    if budget.in_files:
        beyond = f"{format_bytes(budget.in_files)} of pixels lie in a file"
        note(f"train {plan.run}: {beyond}, {format_bytes(allowed)} of memory are for them")
    return train, test


def _on_device(splits: tuple[Split, Split], device: torch.device) -> tuple[Split, Split]:
    """Move pixels to a GPU as far as half of what the model leaves free there has room; train samples go first."""
    allowed = free_pixel_bytes(device)
    train = splits[0].resident(device, allowed)
    left = allowed if train is splits[0] else allowed - splits[0].nbytes
    return train, splits[1].resident(device, left)


def _learner(
    plan: RunConfig,
    balance: ClassWeights,
    tensors: Mapping[BranchName, dict[str, Tensor] | None],
    teacher: RveRNet | None,
) -> Trainer:
    precision = Precision(plan.made_with.precision, plan.made_with.device)
    model = build_run(plan, tensors).to(precision.device)
    labelled = make_objective(plan.train, balance)
    if plan.distillation is None or teacher is None:
        return Trainer(model, plan.train, labelled, precision)
    return Trainer(model, plan.train, DistillationLoss(labelled, teacher, plan.distillation), precision)


def _fit(  # noqa: PLR0913, PLR0917 - everything a sitting works with
    plan: RunConfig, learner: Trainer, course: RunData, checkpoint: Checkpoint, output: Path, runtime: RuntimeParams
) -> tuple[TestPass, list[EpochRecord]]:
    progress, curves = checkpoint.load(), LiveCurves(output, start_delay=runtime.live_after)
    samples, epochs, pace = len(course.train), plan.train.epochs, CheckpointTimer(runtime.checkpoint_minutes)
    done = progress.epoch * samples + progress.metrics.samples
    if done:
        note(f"train {plan.run}: goes on after epoch {progress.epoch} of {epochs}")
    with progress_bar(epochs * samples, what=f"train {plan.run}", unit="sample", done=done) as bar:
        watch = TrainingCallback(bar, checkpoint, curves, pace=pace, samples=samples, epochs=epochs)
        tested = fit(learner, course, progress, watch)
    watch.finished(progress)
    return tested, progress.records


def _food_visible(plan: RunConfig, course: RunData) -> FoodVisible | None:
    if plan.train.pairing == "exact" or "extra_roi" not in plan.backbones:
        return None
    return FoodVisible(train=share_visible(course.train.sample_ids), test=share_visible(course.test.sample_ids))


def _build_run_card(plan: RunConfig, model: RveRNet, course: RunData, tested: TestPass, record: EpochRecord) -> RunCard:
    """Say what came of the plan."""
    source = course.test
    bad = [source.sample_ids[row] for row in (~tested.logits.isfinite().all(1)).nonzero()[:, 0].tolist()]
    if bad:
        raise TrainingError(
            f"run {plan.run}: after the last epoch the logits of {counted(len(bad), 'sample')} are not finite, "
            f"first {bad[0]}; "
            "lower train.learning_rate"
        )
    return RunCard(
        **dict(plan),
        food_visible=_food_visible(plan, course),
        epochs_done=record.epoch,
        metrics=FinalMetrics(
            loss=record.test_loss,
            top1=record.test_top1,
            macro_f1=record.test_macro_f1,
            ambiguous_f1=record.test_ambiguous_f1,
        ),
        calibration=Calibration(temperature=fit_temperature(tested.logits, source.targets), fitted_on="test split"),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        weights_sha256="",
    )
