"""Train one run: RveRNet with two backbones, one backbone alone on one view, or one on the photo and its mask."""

import shutil
from contextlib import closing, suppress
from pathlib import Path

import timm
import torch

from pipeline.datasets.class_set import ClassMap, select_classes
from pipeline.datasets.sample_batch import FoodVisible, InputName, photo_id_of, share_visible
from pipeline.datasets.shards import Shards, read_preprocessing
from pipeline.evaluation.predictions import VALIDATION, PredictionWriter
from pipeline.models import artifact
from pipeline.models.artifact import RunCard, RunConfig, RunEnvironment
from pipeline.models.card import WEIGHTS, BackboneCard, read_card
from pipeline.models.device import Precision, choose_precision, free_pixel_bytes, pick_device
from pipeline.models.rvernet import RveRNet
from pipeline.models.state_dicts import read_stored_tensors
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import FUSIONS, RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.runtime.console import note, progress_bar
from pipeline.runtime.errors import DatasetError, ModelError, TrainingError, counted
from pipeline.runtime.manifest import sha256_of_manifest
from pipeline.runtime.resources import default_memory_budget, format_bytes, local_world_size
from pipeline.runtime.resumable import publish
from pipeline.runtime.stores import Place
from pipeline.training import losses
from pipeline.training.checkpoint import HISTORY, Checkpoint, CheckpointCallback, TrainerState, write_history
from pipeline.training.dataset import MemoryBudget, Split, load_split
from pipeline.training.distributed import current_context, work_dir
from pipeline.training.progress import LiveCurves, ProgressCallback
from pipeline.training.trainer import EpochEvaluation, RunData, Trainer, fit

CHECKPOINT = "checkpoint.pt"
VERSIONS = {module.__name__: module.__version__.partition("+")[0] for module in (torch, timm)}


def train(  # noqa: PLR0913 - every path and name of the stage
    params: TrainParams,
    *,
    run: RunName,
    class_set: ClassSetParams,
    shards: Place,
    weights: Path,
    output: Path,
    runtime: RuntimeParams,
) -> None:
    """Write the package of one run (`model.safetensors`, `run.json`), its `history.csv` and `validation.parquet`.

    The test split is read for test curves alone; without a validation split there is no `validation.parquet`.

    An interrupted run goes on from its last checkpoint and ends, on a CPU, in the same bytes.

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
        note(f"train {run.name}: in fp32; bf16 is faster on this GPU and another result: -S train.precision=bf16")
    cards: dict[InputName, BackboneCard] = {"roi": read_card(weights / run.roi)}
    if run.extra_roi in FUSIONS:
        cards, params = {"photo": cards["roi"]}, params.for_fusion()
    else:
        cards["extra_roi"] = read_card(weights / run.extra_roi)
    backbones = {branch: card for branch, card in cards.items() if card.timm is not None}
    if not backbones:
        valid = ", ".join(sorted(path.name for path in weights.iterdir() if path.name not in {run.roi, run.extra_roi}))
        raise ModelError(f"params.yaml: roi and extra_roi are both none; give at least one a backbone: {valid}")
    config = RunConfig(
        run=run.name,
        **run._asdict(),  # backbones and class set
        class_names=class_map.names,
        ambiguous=tuple(name for name in class_set.ambiguous if name in class_map.names),
        image_size=source.image_size,
        preprocessing=read_preprocessing(source),
        backbones=backbones,
        train=params,
        made_with=describe_environment(precision),
        shards_sha256=sha256_of_manifest(shards),
    )
    run_training(config, class_map, source, weights=weights, output=output, runtime=runtime)


def describe_environment(precision: Precision) -> RunEnvironment:
    """Return device, precision and versions of this process."""
    return RunEnvironment(device=precision.device, precision=precision.name, versions=VERSIONS)


def run_training(  # noqa: PLR0913 - the configuration, the samples, and where
    config: RunConfig,
    class_map: ClassMap,
    source: Shards,
    *,
    weights: Path,
    output: Path,
    runtime: RuntimeParams,
    teacher: RveRNet | None = None,
) -> None:
    """Train a run from its configuration and write its package; see `train`.

    `class_map` maps the targets of the shards to those of the run; `teacher` is on the run's device, where the
    configuration has a distillation.

    Raises:
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
        WeightsError: If pre-trained weights are absent, damaged or not those of the configuration.
    """
    context = current_context()
    config = config.replace(train=config.train.model_copy(update={"devices": context.world_size}))
    identity = config.model_dump_json(exclude={"train": {"devices"}})  # resumable with another number of processes
    with work_dir("train", identity, output, context) as (folder, published):
        shutil.rmtree(published, ignore_errors=True)  # so that the curves shown there are of this run
        splits = _load_data(config, class_map, source, folder, runtime)
        balance = losses.class_weights(splits["train"].targets, len(class_map.names), config.train.balance_beta)
        trainer = _make_trainer(config, balance, weights, teacher)
        # After the model, which comes first in a GPU's memory; then split by split.
        free = free_pixel_bytes(trainer.device)
        for name, split in splits.items():
            splits[name] = split.resident(trainer.device, free)
            free -= 0 if splits[name] is split else split.nbytes
        pair = class_map.positions(config.ambiguous)
        data = RunData(splits["train"], splits.get("validation"), splits.get("test"), balance, pair)
        checkpoint = Checkpoint(folder / CHECKPOINT, identity, trainer.parts, trainer.device)
        state, curves = checkpoint.load(), LiveCurves(published, start_delay=runtime.live_after)
        samples, epochs = len(data.train), config.train.epochs
        done = state.epoch * samples + state.metrics.samples
        if done:
            note(f"train {config.run}: goes on after epoch {state.epoch} of {epochs}")
        with progress_bar(epochs * samples, what=f"train {config.run}", unit="sample", done=done) as bar:
            progress = ProgressCallback(bar, curves, samples=samples, epochs=epochs)
            saving = CheckpointCallback(checkpoint, runtime.checkpoint_minutes)
            evaluation = fit(trainer, data, state, (progress, saving))
        progress.finish(state)
        finished = folder / "finished"
        shutil.rmtree(finished, ignore_errors=True)  # its files may be links into DVC's cache
        finished.mkdir()
        card = _build_run_card(config, trainer.eval_model, data, evaluation, state)
        artifact.save_run(trainer.eval_model, card, finished)
        write_history(state.records, finished / HISTORY)
        if evaluation is not None:
            writer = PredictionWriter(finished / VALIDATION, run=config.run, class_names=config.class_names)
            with closing(writer):
                found, logits = evaluation.logits.argmax(1).numpy(), evaluation.logits.numpy()
                writer.write(evaluation.split.sample_ids, evaluation.split.targets.numpy(), found, logits)
        publish(finished, published)


def _load_data(
    config: RunConfig, class_map: ClassMap, source: Shards, folder: Path, runtime: RuntimeParams
) -> dict[str, Split]:
    """Read train, validation and, for test curves, test, in memory or beyond it in files below `folder`.

    Validation and test are left out where they have no sample of the run's classes.
    """
    allowed = int(runtime.memory_gigabytes * 1e9) // local_world_size() or default_memory_budget()
    budget = MemoryBudget(allowed, folder)
    source = source.paired(config.train.pairing, class_map.names)
    views = frozenset(config.backbones)
    splits = {"train": load_split(source, "train", class_map, views=views, budget=budget)}
    for name in ("validation", "test") if config.train.test_curves else ("validation",):
        with suppress(DatasetError):  # raised for that alone
            splits[name] = load_split(source, name, class_map, views=views, budget=budget)
    if budget.in_files:
        beyond = f"{format_bytes(budget.in_files)} of pixels lie in a file"
        note(f"train {config.run}: {beyond}, {format_bytes(allowed)} of memory are for them")
    return splits


def _make_trainer(config: RunConfig, balance: losses.ClassWeights, weights: Path, teacher: RveRNet | None) -> Trainer:
    precision = Precision(config.made_with.precision, config.made_with.device)
    tensors = {
        branch: None if backbone.source == "none" else read_stored_tensors(weights / backbone.name / WEIGHTS, backbone)
        for branch, backbone in config.backbones.items()
    }
    model = artifact.build_run(config, tensors).to(precision.device)
    labels, how = losses.make_objective(config.train, balance), config.distillation
    objective = labels if how is None or teacher is None else losses.DistillationLoss(labels, teacher, how)
    return Trainer(model, config.train, objective, precision)


def _build_run_card(
    config: RunConfig, model: RveRNet, data: RunData, evaluation: EpochEvaluation | None, state: TrainerState
) -> RunCard:
    metrics, calibration = None, artifact.Calibration(temperature=1.0, fitted_on=None)
    epoch = state.best.epoch if state.best else state.epoch
    if evaluation is not None:
        bad = (~evaluation.logits.isfinite().all(1)).nonzero()[:, 0].tolist()
        if bad:
            raise TrainingError(
                f"run {config.run}: after epoch {epoch} the logits of {counted(len(bad), 'sample')} are not finite, "
                f"first {evaluation.split.sample_ids[bad[0]]}; lower train.learning_rate"
            )
        loss, top1, macro_f1 = evaluation.scores()
        metrics = artifact.FinalMetrics(measured_on="validation split", loss=loss, top1=top1, macro_f1=macro_f1)
        temperature = losses.fit_temperature(evaluation.logits, evaluation.split.targets)
        calibration = artifact.Calibration(temperature=temperature, fitted_on="validation split")
    food_visible = None
    if config.train.pairing != "exact" and "extra_roi" in config.backbones:
        food_visible = FoodVisible(train=share_visible(data.train.sample_ids))
    ids, categories = data.train.sample_ids, set(data.train.targets.tolist())
    photos = set(map(photo_id_of, ids))
    return RunCard(
        **dict(config),
        trained_on=artifact.TrainedOn(photos=len(photos), samples=len(ids), categories=len(categories)),
        food_visible=food_visible,
        epochs_done=epoch,
        metrics=metrics,
        calibration=calibration,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        weights_sha256="",
    )
