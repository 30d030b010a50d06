"""`runtime.devices`: one stage starts several processes, and ends like any other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.models.package import load_run
from pipeline.params.model import ClassSetParams
from tests.judged_run import TRAIN, random_batch
from tests.training_data import write_cards, write_shards_of

CLASSES = ClassSetParams(exclude=(), ambiguous=("ketchup", "chili paste"))


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """Lay out what stage `train` reads, for two processes."""
    write_shards_of(
        tmp_path / "data/shards/annotation", {"train": [random_batch(12)], "test": [random_batch(7, seed=1)]}
    )
    write_cards(tmp_path / "data/weights")
    (tmp_path / "data/settings/classes").mkdir(parents=True)
    (tmp_path / "data/settings/train.json").write_text(TRAIN.model_dump_json())
    (tmp_path / "data/settings/classes/all.json").write_text(CLASSES.model_dump_json())
    (tmp_path / "params.yaml").write_text("runtime: {workers: 1, device: cpu, devices: 2}\n")
    return tmp_path


def train(workplace: Path, root: Path) -> subprocess.CompletedProcess[str]:
    """Run the stage as DVC does, which names it and its root."""
    command = [sys.executable, "-m", "stages.train", "--run", "tiny+none-all", "--roi", "tiny", "--extra-roi", "none"]
    command += ["--classes", "all", "--source", "annotation"]
    env = os.environ | {"PYTHONPATH": str(root), "DVC_STAGE": "train@tiny+none-all", "DVC_ROOT": str(workplace)}
    return subprocess.run(command, cwd=workplace, env=env, check=False, capture_output=True, text=True)  # noqa: S603


def test_a_stage_trains_on_as_many_devices_as_params_say(workplace: Path, root: Path) -> None:
    """The claim of the stage is held once for all of them."""
    done = train(workplace, root)
    assert done.returncode == 0, done.stderr
    _, card = load_run(workplace / "data/runs/tiny+none-all", "cpu")
    assert card.epochs_done == TRAIN.epochs


def test_trouble_is_one_line_of_it_and_one_of_who_had_it(workplace: Path, root: Path) -> None:
    """No traceback of torchrun's."""
    changes = {"learning_rate": 1e30, "optimizer": "sgd"}
    (workplace / "data/settings/train.json").write_text(TRAIN.model_copy(update=changes).model_dump_json())
    done = train(workplace, root)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2, done.stderr
    assert "not finite" in errors[0]
    assert "ended with status 1; its own line is above" in errors[1]
    assert "Traceback" not in done.stderr
