"""Stage `distill`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.api import load_run as load_public
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.session import predict_logits
from pipeline.models.artifact import load_run
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import RunName
from pipeline.params.stages import DistillationSummary, DistillParams
from pipeline.runtime.errors import ModelError
from pipeline.steps.distill import distill
from pipeline.steps.train import train
from tests.small_run import TRAIN, random_batch
from tests.students import write_student
from tests.training_data import write_workplace
from tests.unit.demo.test_dataset import contents
from tests.unit.steps.test_repeat import CPU, JUDGING

pytestmark = pytest.mark.slow

ALL = ClassSetParams(exclude=(), ambiguous=("ketchup", "chili paste"))
PARAMS = DistillParams(teacher="tiny", student="student", kind="hard", alpha=0.5, temperature=3.0)
RECIPE = TRAIN.model_copy(update={"epochs": 2})


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with shards, and backbones one of which can be a student."""
    torch.set_num_threads(1)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_workplace(tmp_path)
    write_student(tmp_path / "weights")
    return tmp_path


def distill_in(folder: Path, output: str = "distilled/tiny", recipe: TrainParams = RECIPE, **changes: object) -> Path:
    """Teach; return the folder."""
    distill(
        PARAMS.model_copy(update=changes),
        recipe=recipe,
        evaluation=JUDGING,
        class_set=ALL,
        classes="all",
        shards=folder / "shards",
        eval_shards=folder / "shards",
        weights=folder / "weights",
        output=folder / output,
        runtime=CPU,
    )
    return folder / output


def train_alone(folder: Path, roi: str) -> Path:
    """Train a backbone on the ROI from labels alone."""
    places = {"shards": folder / "shards", "weights": folder / "weights", "output": folder / f"alone-{roi}"}
    train(RECIPE, run=RunName(roi, "none", "all"), class_set=ALL, runtime=CPU, **places)
    return folder / f"alone-{roi}"


def test_the_teacher_is_the_run_it_would_be_alone(workplace: Path) -> None:
    """To the last byte: the same recipe on the same samples, and teaching does not change it."""
    taught, alone = distill_in(workplace) / "teacher", train_alone(workplace, "tiny")
    for name in ("model.safetensors", "run.json", "history.csv"):
        assert (taught / name).read_bytes() == (alone / name).read_bytes()


def test_a_student_is_a_run_like_any_other(workplace: Path) -> None:
    """Whoever loads the package finds the stored predictions, and the card says who taught it."""
    folder = distill_in(workplace, kind="soft", alpha=0.1) / "student"
    model, card = load_run(folder, "cpu")
    stored, batch = read_predictions(folder / "predictions.parquet"), random_batch(11, seed=1)
    logits = predict_logits(model, batch, torch.device("cpu"))
    assert stored.logits == pytest.approx(logits, abs=1e-5)
    assert load_public(folder).branches == ("roi",)
    assert card.run == "student-of-tiny+none-all"
    assert card.distillation is not None
    said = (card.distillation.teacher.name, card.distillation.kind, card.distillation.alpha)
    assert said == ("tiny", "soft", 0.1)
    _, teacher = load_run(folder.parent / "teacher", "cpu")
    assert card.distillation.teacher_sha256 == teacher.weights_sha256
    assert teacher.distillation is None
    assert "distillation" not in json.loads((folder.parent / "teacher/run.json").read_text())


def test_teaching_makes_a_difference(workplace: Path) -> None:
    """A student depends on its teacher, on the way of teaching and on the teacher's share.

    Teachers of so few steps decide alike, so it is their probabilities that tell them apart.
    """
    ways = ({}, {"kind": "soft"}, {"kind": "soft", "teacher": "dropping"}, {"alpha": 0.2})
    made = [distill_in(workplace, f"d{n}", **changes) / "student" for n, changes in enumerate(ways)]
    assert len({(folder / "model.safetensors").read_bytes() for folder in made}) == 4


EPOCH_END = "progress.ProgressCallback.on_epoch_end"


@pytest.mark.parametrize(
    ("kill", "sitting"), [*((EPOCH_END, n) for n in (1, 2, 3)), ("checkpoint.CheckpointCallback.on_train_epoch_end", 4)]
)
def test_an_interrupted_lesson_ends_in_the_same_bytes(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, kill: str, sitting: int
) -> None:
    """Whether it was interrupted in the teacher's epochs or in the student's; dropout draws as if nothing was."""
    recipe = RECIPE.model_copy(update={"ema_decay": 0.9, "label_smoothing": 0.1, "balance": "loss"})
    whole = contents(distill_in(workplace, "whole", recipe))
    calls = iter(range(sitting - 1))

    def die(*_: object) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(f"pipeline.training.{kill}", die)
    with pytest.raises(KeyboardInterrupt):
        distill_in(workplace, "killed", recipe)
    monkeypatch.undo()
    monkeypatch.setenv("DVC_ROOT", str(workplace))
    assert contents(distill_in(workplace, "killed", recipe)) == whole


def test_who_cannot_be_taught_is_refused_before_anything_is_trained(workplace: Path) -> None:
    """With the backbones that can."""
    with pytest.raises(ModelError, match="distill.student: 'dropping' .* no distillation token; choose student"):
        distill_in(workplace, student="dropping")
    assert not (workplace / "distilled/tiny/teacher").exists()


def test_without_a_teacher_nothing_happens_and_no_torch_is_imported(workplace: Path, root: Path) -> None:
    """The stage writes an empty summary."""
    settings = workplace / "data/settings"
    (settings / "classes").mkdir(parents=True)
    nobody = PARAMS.model_copy(update={"teacher": "none"})
    for name, section in (("distill", nobody), ("train", RECIPE), ("evaluate", JUDGING), ("classes/all", ALL)):
        (settings / f"{name}.json").write_text(section.model_dump_json())
    (workplace / "params.yaml").write_text("runtime: {workers: 1, device: cpu}\n")
    command = ["stages.distill", "--teacher", "none", "--classes", "all", "--train", "x", "--source", "x"]
    code = f"import sys; sys.argv = {command}; import stages.distill as s; s.main(); assert 'torch' not in sys.modules"
    env = os.environ | {"PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], cwd=workplace, env=env, check=True)  # noqa: S603
    text = (workplace / "data/distilled/none/summary.json").read_bytes()
    assert DistillationSummary.model_validate_json(text).teacher is None
    assert len(contents(workplace / "data/distilled/none")) == 1
