"""Train one run: RveRNet with two backbones, or one backbone alone on one view."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import timm
import torch
from safetensors import SafetensorError
from torch import Tensor

from pipeline.console import counter, note
from pipeline.datasets.class_set import ClassMap, select_classes
from pipeline.datasets.shards import Shards
from pipeline.errors import ModelError, WeightsError
from pipeline.evaluation.metrics import macro_f1, pair_f1, top1
from pipeline.manifest import MANIFEST, sha256_of
from pipeline.models.card import WEIGHTS, BackboneCard, read_card
from pipeline.models.numerics import pick_device
from pipeline.models.package import BranchName, RunCard, build_run, save_run
from pipeline.models.rvernet import RveRNet
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from pipeline.training.epoch import TestPass, TrainPass, test_epoch, train_epoch
from pipeline.training.history import EpochRecord, write_history
from pipeline.training.optimizer import make_optimizer
from pipeline.training.split import Split, load_split
from pipeline.workspace import publish, unfinished

if TYPE_CHECKING:
    from tqdm import tqdm

CHECKPOINT = "checkpoint.pt"


def train(  # noqa: PLR0913 - every path and name of the stage
    params: TrainParams,
    *,
    run: str,
    roi: str,
    extra_roi: str,
    class_set: ClassSetParams,
    classes: str,
    shards: Path,
    weights: Path,
    output: Path,
    device: str,
) -> None:
    """Write the package of one run (`model.safetensors`, `run.json`) and its `history.csv` to `output`.

    An interrupted run goes on after its last finished epoch and ends, on a CPU, in the very same bytes.

    `roi` and `extra_roi` name a backbone each, or none; `weights` holds one folder a backbone; `classes` is the name of
    `class_set`; `device` is one that `pick_device` knows.

    Raises:
        ModelError: If both branches are absent or a backbone cannot be built.
        ParamsError: If the class set does not fit the categories, or the device is not there.
        TrainingError: If a loss is not finite or a checkpoint cannot be written or read.
    """
    source = Shards(shards)
    class_map = select_classes(source.categories, class_set.exclude)
    card = RunCard(
        run=run,
        roi=roi,
        extra_roi=extra_roi,
        classes=classes,
        class_names=class_map.names,
        ambiguous=tuple(name for name in class_set.ambiguous if name in class_map.names),
        image_size=source.image_size,
        backbones=_cards(weights, {"roi": roi, "extra_roi": extra_roi}),
        train=params,
        shards_sha256=sha256_of(shards / MANIFEST),
        weights_sha256="",
        epochs_done=params.epochs,
    )
    _train_card(card, class_map, source, weights=weights, output=output, place=pick_device(device))


def _train_card(  # noqa: PLR0913 - the card, what it is trained on, and where
    card: RunCard, class_map: ClassMap, source: Shards, *, weights: Path, output: Path, place: torch.device
) -> None:
    identity = (card.model_dump_json(), torch.__version__, timm.__version__, place.type)
    with unfinished("train", *identity) as folder:
        progress = _begin(card, _tensors(weights, card), folder / CHECKPOINT, place)
        _go_on(progress, card, class_map, source, folder / CHECKPOINT)
        finished = folder / "finished"
        shutil.rmtree(finished, ignore_errors=True)
        finished.mkdir()
        save_run(progress.model, card, finished)
        write_history(progress.records, finished / "history.csv")
        publish(finished, output)


def _cards(weights: Path, names: Mapping[BranchName, str]) -> dict[BranchName, BackboneCard]:
    cards = {branch: read_card(weights / name) for branch, name in names.items()}
    present = {branch: card for branch, card in cards.items() if card.timm is not None}
    if not present:
        valid = ", ".join(sorted(path.name for path in weights.iterdir() if path.name not in names.values()))
        raise ModelError(f"params.yaml: roi and extra_roi are both none; give at least one a backbone: {valid}")
    return present


def _tensors(weights: Path, card: RunCard) -> dict[BranchName, dict[str, Tensor] | None]:
    return {
        branch: None if backbone.source == "none" else _pretrained(weights / backbone.name / WEIGHTS)
        for branch, backbone in card.backbones.items()
    }


def _pretrained(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        stage = f"weights@{path.parent.name}"
        raise WeightsError(f"{path}: absent or damaged ({error}); run `dvc repro -f {stage}`") from error


def _begin(
    card: RunCard, tensors: dict[BranchName, dict[str, Tensor] | None], checkpoint: Path, place: torch.device
) -> Progress[RveRNet]:
    model = build_run(card, tensors).to(place)
    progress = Progress(model, make_optimizer(model, card.train))
    load_checkpoint(progress, checkpoint, place)
    return progress


def _go_on(progress: Progress[RveRNet], card: RunCard, class_map: ClassMap, source: Shards, checkpoint: Path) -> None:
    views = frozenset(card.backbones)
    train_split = load_split(source, "train", class_map, views=views)
    test_split = load_split(source, "test", class_map, views=views)
    epochs, done = card.train.epochs, len(progress.records)
    if done:
        note(f"train {card.run}: goes on after epoch {done} of {epochs}")
    with counter(
        epochs * len(train_split), what=f"train {card.run}", unit="sample", done=done * len(train_split)
    ) as bar:
        for epoch in range(done, epochs):
            trained = train_epoch(
                progress.model, train_split, progress.optimizer, card.train, epoch=epoch, on_batch=bar.update
            )
            tested = test_epoch(progress.model, test_split, batch_size=card.train.batch_size)
            record = _record(epoch, trained, tested, test_split, class_map.positions(card.ambiguous))
            progress.records.append(record)
            save_checkpoint(progress, checkpoint)
            _show(bar, record, epochs)


def _record(epoch: int, trained: TrainPass, tested: TestPass, split: Split, ambiguous: tuple[int, ...]) -> EpochRecord:
    targets, predictions = split.targets.numpy(), tested.predictions.numpy()
    match ambiguous:
        case (first, second):
            pair: float | None = pair_f1(targets, predictions, (first, second))
        case _:
            pair = None
    return EpochRecord(
        epoch=epoch + 1,
        learning_rate=trained.learning_rate,
        train_loss=trained.loss,
        train_top1=trained.top1,
        test_loss=tested.loss,
        test_top1=top1(targets, predictions),
        test_macro_f1=macro_f1(targets, predictions),
        test_ambiguous_f1=pair,
    )


def _show(bar: "tqdm[Any]", record: EpochRecord, epochs: int) -> None:
    bar.set_postfix_str(
        f"epoch {record.epoch}/{epochs}, loss {record.train_loss:.3f}, test top-1 {record.test_top1:.3f}, "
        f"macro F1 {record.test_macro_f1:.3f}"
    )
