"""Checkpoints."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.errors import TrainingError
from pipeline.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from pipeline.training.epoch import update
from pipeline.training.history import EpochRecord, write_history
from pipeline.training.optimizer import make_optimizer
from tests.judged_run import TRAIN

CPU = torch.device("cpu")
RECORD = EpochRecord(1, 1e-3, 2.5, 0.25, 2.0, 0.5, 0.4, None)


def progress(seed: int) -> Progress[nn.Linear]:
    """Return a tiny model with its optimiser."""
    torch.manual_seed(seed)
    layer = nn.Linear(3, 2)
    return Progress(layer, make_optimizer(layer, TRAIN))


def step(state: Progress[nn.Linear]) -> None:
    """Move once."""
    update(state.optimizer, state.model(torch.ones(1, 3)).square().sum(), 1e-2)


def test_a_loaded_checkpoint_goes_on_as_if_nothing_happened(tmp_path: Path) -> None:
    """Weights, moments and records come back, so the next step is the same bit for bit."""
    first, second = progress(0), progress(1)
    step(first)
    first.records.append(RECORD)
    save_checkpoint(first, tmp_path / "checkpoint.pt")
    load_checkpoint(second, tmp_path / "checkpoint.pt", CPU)
    assert second.records == [RECORD]
    step(first)
    step(second)
    assert torch.equal(first.model.weight, second.model.weight)


def test_without_a_checkpoint_a_run_starts_anew(tmp_path: Path) -> None:
    """Absence is no error."""
    state = progress(0)
    before = state.model.weight.detach().clone()
    load_checkpoint(state, tmp_path / "checkpoint.pt", CPU)
    assert torch.equal(state.model.weight, before)
    assert state.records == []


def test_a_failed_write_keeps_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: half a file is removed, the old one stays, and the message says what to do."""
    path, state = tmp_path / "checkpoint.pt", progress(0)
    save_checkpoint(state, path)
    good = path.read_bytes()

    def fill_the_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fill_the_disk)
    step(state)
    with pytest.raises(TrainingError, match="No space left on device.*the last one is kept"):
        save_checkpoint(state, path)
    assert path.read_bytes() == good
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    """The message names what to delete."""
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(TrainingError, match=f"unusable checkpoint .*delete {tmp_path}"):
        load_checkpoint(progress(0), tmp_path / "checkpoint.pt", CPU)


def test_the_history_is_a_table_with_one_row_an_epoch(tmp_path: Path) -> None:
    """An absent pair leaves its cell empty."""
    write_history([RECORD, RECORD._replace(epoch=2, test_ambiguous_f1=0.125)], tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines() == [
        "epoch,learning_rate,train_loss,train_top1,test_loss,test_top1,test_macro_f1,test_ambiguous_f1",
        "1,0.001,2.5,0.25,2,0.5,0.4,",
        "2,0.001,2.5,0.25,2,0.5,0.4,0.125",
    ]
