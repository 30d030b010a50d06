"""Checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.evaluation.metrics import EpochRecord
from pipeline.models.artifact import build_run
from pipeline.models.device import Precision
from pipeline.runtime.errors import TrainingError
from pipeline.training.checkpoint import (
    BestEpoch,
    Checkpoint,
    CheckpointCallback,
    RunningMetrics,
    TrainerState,
    write_history,
)
from pipeline.training.dataset import MicroBatch
from pipeline.training.losses import CrossEntropy
from pipeline.training.trainer import Trainer
from tests.small_run import TRAIN, run_card
from tests.training_data import split_of

RECORD = EpochRecord(1, 1e-3, 2.5, 0.25, 2.0, 0.5, 0.4, None)
PROGRESS = TrainerState(epoch=1, metrics=RunningMetrics(2, 8, 3, 0.1 + 0.2, 8.0, 1e-3), records=[RECORD])
SPLIT = split_of(4)
RECIPE = TRAIN.model_copy(update={"ema_decay": 0.5})


def make_trainer() -> Trainer:
    """Return a tiny model with everything a step changes."""
    return Trainer(build_run(run_card(("roi",)), {}), RECIPE, CrossEntropy(), Precision("fp16", "cpu"))


def step(made: Trainer) -> None:
    """Move once."""
    made.step(SPLIT.stream([MicroBatch(torch.arange(4), None)], made.device), normalizer=4.0, rate=1e-2, global_step=3)


def checkpoint(made: Trainer, folder: Path, identity: str = "run") -> Checkpoint:
    """Return the checkpoint of a trainer."""
    return Checkpoint(folder / "checkpoint.pt", identity, made.parts, made.device)


def state(made: Trainer) -> list[Tensor]:
    """Return weights and average."""
    return [*made.model.state_dict().values(), *made.eval_model.state_dict().values()]


def test_a_loaded_checkpoint_goes_on_as_if_nothing_happened(tmp_path: Path) -> None:
    """Weights, moments, average, scale, generator and sums come back, so what follows is the same bit for bit."""
    first, second = make_trainer(), make_trainer()
    step(first)
    first.scaler.load_state_dict(first.scaler.state_dict() | {"scale": 128.0})
    checkpoint(first, tmp_path).save(PROGRESS)
    drawn = torch.rand(3)
    assert checkpoint(second, tmp_path).load() == PROGRESS
    assert torch.equal(torch.rand(3), drawn)
    assert second.scaler.get_scale() == 128
    for made in (first, second):
        step(made)
    assert all(torch.equal(*pair) for pair in zip(state(first), state(second), strict=True))


def test_without_a_checkpoint_a_run_starts_anew(tmp_path: Path) -> None:
    """Absence is no error."""
    made = make_trainer()
    before = [tensor.clone() for tensor in state(made)]
    assert checkpoint(made, tmp_path).load() == TrainerState()
    assert all(torch.equal(*pair) for pair in zip(state(made), before, strict=True))


def test_a_failed_write_keeps_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: half a file is removed, the old one stays, and the message says what to do."""
    made = make_trainer()
    kept = checkpoint(made, tmp_path)
    kept.save(PROGRESS)
    good = kept.path.read_bytes()

    def fill_the_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fill_the_disk)
    step(made)
    with pytest.raises(TrainingError, match="No space left on device.*the last one is kept"):
        kept.save(PROGRESS)
    assert kept.path.read_bytes() == good
    assert list(tmp_path.iterdir()) == [kept.path]


@pytest.mark.parametrize("place", ["cut short", "first byte", "in the middle", "no archive", "empty"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, place: str) -> None:
    """Wherever the damage is, in one line that names what to delete; torch alone would load flipped weights."""
    kept = checkpoint(make_trainer(), tmp_path)
    kept.save(PROGRESS)
    data = bytearray(kept.path.read_bytes())
    match place:
        case "cut short":
            data = data[: len(data) // 2]
        case "no archive":
            data = bytearray(b"half a file")
        case "empty":
            data = bytearray()
        case _:
            data[0 if place == "first byte" else len(data) // 2] ^= 1
    kept.path.write_bytes(data)
    with pytest.raises(TrainingError, match=f"unusable checkpoint .*delete {tmp_path}") as caught:
        checkpoint(make_trainer(), tmp_path).load()
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_run_or_model_is_refused(tmp_path: Path) -> None:
    """Its identity says so, or else its tensors do."""
    checkpoint(make_trainer(), tmp_path).save(PROGRESS)
    with pytest.raises(TrainingError, match="of another run, or of another version"):
        checkpoint(make_trainer(), tmp_path, "other run").load()
    wide = run_card(("roi",)).model_copy(update={"class_names": ("one", "two")})
    other = Trainer(build_run(wide, {}), RECIPE, CrossEntropy(), Precision("fp32", "cpu"))
    with pytest.raises(TrainingError, match="unusable checkpoint .*size mismatch"):
        checkpoint(other, tmp_path).load()


def test_a_checkpoint_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    """Only tensors and numbers are read."""
    made = make_trainer()
    torch.save({"format": 2, "identity": "run", "parts": Path.cwd}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="unusable checkpoint"):
        checkpoint(made, tmp_path).load()


def test_checkpoints_are_due_by_the_clock_alone(tmp_path: Path) -> None:
    """0 minutes make every step due; a long time none."""
    saved = checkpoint(make_trainer(), tmp_path)
    CheckpointCallback(saved, 1e9).on_step_end(PROGRESS)
    assert not saved.path.exists()
    always = CheckpointCallback(saved, 0.0)
    for _ in range(2):
        always.on_step_end(PROGRESS)
        assert saved.path.exists()
        saved.path.unlink()


def test_the_best_epoch_is_kept_with_its_weights(tmp_path: Path) -> None:
    """They come back tensor by tensor."""
    made = make_trainer()
    best = BestEpoch(1, 0.5, {name: tensor.clone() for name, tensor in made.eval_model.state_dict().items()})
    checkpoint(made, tmp_path).save(replace(PROGRESS, best=best))
    loaded = checkpoint(made, tmp_path).load().best
    assert loaded is not None
    assert loaded[:2] == best[:2]
    assert loaded.weights.keys() == best.weights.keys()
    assert all(torch.equal(loaded.weights[name], tensor) for name, tensor in best.weights.items())


def test_the_history_is_a_table_with_one_row_an_epoch(tmp_path: Path) -> None:
    """Absent values leave their cells empty; without test curves there are no columns of them."""
    write_history([RECORD, RECORD._replace(epoch=2, test_ambiguous_f1=0.125)], tmp_path / "history.csv")
    curves = "test_loss,test_top1,test_macro_f1,test_ambiguous_f1"
    assert (tmp_path / "history.csv").read_text().splitlines() == [
        f"epoch,learning_rate,train_loss,train_top1,{curves},validation_loss,validation_top1,validation_macro_f1",
        "1,0.001,2.5,0.25,2,0.5,0.4,,,,",
        "2,0.001,2.5,0.25,2,0.5,0.4,0.125,,,",
    ]
    write_history([EpochRecord(1, 1e-3, 2.5, 0.25, validation_loss=2.0)], tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines() == [
        "epoch,learning_rate,train_loss,train_top1,validation_loss,validation_top1,validation_macro_f1",
        "1,0.001,2.5,0.25,2,,",
    ]
