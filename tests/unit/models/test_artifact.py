"""Run packages."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.models.artifact import build_run, load_run, save_run
from pipeline.models.card import RUN_CARD
from pipeline.models.device import to_tensor
from pipeline.runtime.errors import ManifestError
from tests.small_run import random_batch, run_card, write_small_run


def test_a_loaded_run_classifies_like_the_saved_one(tmp_path: Path) -> None:
    """Weights, running statistics and normalisation all come back, and the card names its weights by hash."""
    card = run_card(("roi", "extra_roi"))
    model, batch = build_run(card, {}).eval(), random_batch(3)
    save_run(model, card, tmp_path)
    loaded, loaded_card = load_run(tmp_path, "cpu")
    views = to_tensor(batch.roi), to_tensor(batch.extra_roi)
    assert torch.equal(loaded(*views), model(*views))
    assert not loaded.training
    assert loaded_card == card.model_copy(update={"weights_sha256": loaded_card.weights_sha256})
    assert len(loaded_card.weights_sha256) == 64


def test_the_bytes_depend_on_the_run_alone(tmp_path: Path) -> None:
    """Same run, same files."""
    first, second = (write_small_run(tmp_path / name, ("roi",)) for name in "ab")
    for name in ("model.safetensors", RUN_CARD):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    """A flipped byte, a missing file and a card of something else each give one line."""
    folder = write_small_run(tmp_path / "run", ("roi",))
    card = (folder / RUN_CARD).read_text()
    (folder / RUN_CARD).write_text(card.replace('"hidden"', '"hiden"'))
    with pytest.raises(ManifestError, match="hiden"):
        load_run(folder, "cpu")
    (folder / RUN_CARD).write_text(card)
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(ManifestError, match="not the file run.json describes"):
        load_run(folder, "cpu")
    (folder / RUN_CARD).unlink()
    with pytest.raises(ManifestError, match="absent"):
        load_run(folder, "cpu")


def test_a_run_that_is_not_there_is_looked_for(tmp_path: Path) -> None:
    """A folder of runs names them, a near name is offered, and what to type exists; no stage makes a stray folder."""
    for name in ("deit+none-all", "vit+none-all"):
        write_small_run(tmp_path / "data/runs" / name, ("roi",))
    for folder, message in (
        ("data/runs", r"data/runs: a folder of 2 runs, not a run; name one, for instance .*data/runs/deit\+none-all$"),
        (
            "data/runs/vit+non-all",
            r"non-all: no such folder \(did you mean .*/data/runs/vit\+none-all\?\); run `dvc exp run -S ",
        ),
        ("data/runs/mixer+none-all", r"none-all: no such folder; run `dvc repro train@mixer\+none-all` or `dvc pull`$"),
        (
            "data",
            r"data/run.json: absent; name the folder of a finished run, which holds run.json and model.safetensors$",
        ),
    ):
        with pytest.raises(ManifestError, match=message):
            load_run(tmp_path / folder, "cpu")


@pytest.mark.parametrize("option", ["checkpoint_path", "cache_dir"])
def test_a_card_cannot_make_timm_read_a_file(tmp_path: Path, option: str) -> None:
    """A run may come from anybody."""
    folder = write_small_run(tmp_path / "run", ("roi",))
    card = (folder / RUN_CARD).read_text()
    (folder / RUN_CARD).write_text(card.replace('"depth":', f'"{option}": "/dev/null", "depth":'))
    assert option in (folder / RUN_CARD).read_text()
    with pytest.raises(ManifestError, match=f"run.json: .*has no option '{option}'"):
        load_run(folder, "cpu")


def test_pictures_become_tensors_without_losing_a_value() -> None:
    """Only the names of the axes change, no pixel moves; read-only arrays are welcome."""
    images = random_batch(2).roi
    images.flags.writeable = False
    tensor = to_tensor(images)
    np.testing.assert_array_equal(tensor.permute(0, 2, 3, 1).numpy(), images)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
