"""`runtime.devices`: one stage starts several processes, and ends like any other."""

import csv
import os
import shutil
from pathlib import Path
from typing import TypeAlias

import pytest

from pipeline.evaluation.ambiguous import AmbiguousPair
from pipeline.models.artifact import load_run
from pipeline.params.model import ClassSetParams
from pipeline.params.stages import DistillParams
from tests.forked import Ended, Forked
from tests.small_run import TRAIN, random_batch
from tests.students import write_student
from tests.training_data import write_cards, write_shards_of
from tests.unit.steps.test_repeat import JUDGING
from tests.unit.training.test_distributed import TOLERANCE

pytestmark = pytest.mark.e2e

RUN = "tiny+none-all"
Losses: TypeAlias = dict[str, list[float]]
CLASSES = ClassSetParams(exclude=(), ambiguous=("ketchup", "chili paste"))


def lay_out(folder: Path) -> Path:
    """Write what stages read, for two processes."""
    parts = {"train": random_batch(12), "validation": random_batch(7, seed=2), "test": random_batch(7, seed=1)}
    write_shards_of(folder / "data/shards/annotation", {split: [batch] for split, batch in parts.items()})
    AmbiguousPair(names=CLASSES.ambiguous, chosen="given", basis="as given").write(folder / "data/ambiguous.json")
    write_cards(folder / "data/weights")
    (folder / "data/settings/classes").mkdir(parents=True)
    (folder / "data/settings/evaluate.json").write_text(JUDGING.model_dump_json())
    (folder / "data/settings/train.json").write_text(TRAIN.model_dump_json())
    (folder / "data/settings/classes/all.json").write_text(CLASSES.model_dump_json())
    (folder / "params.yaml").write_text("runtime: {workers: 1, device: cpu, devices: 2}\n")
    return folder


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """Return a folder in which nothing was trained."""
    return lay_out(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, forked: Forked) -> Path:
    """Return a folder in which two processes have trained a run."""
    folder = lay_out(tmp_path_factory.mktemp("trained"))
    done = train(folder, forked)
    assert done.returncode == 0, done.stderr
    return folder


def run_stage(workplace: Path, forked: Forked, stage: str, *arguments: str) -> Ended:
    """Run a stage as DVC does, which names it and its root."""
    env = os.environ | {"DVC_STAGE": f"{stage}@{RUN}", "DVC_ROOT": str(workplace)}
    return forked("-m", f"stages.{stage}", *arguments, cwd=workplace, env=env)


def train(workplace: Path, forked: Forked) -> Ended:
    """Run stage `train`."""
    arguments = ["--run", RUN, "--roi", "tiny", "--extra-roi", "none", "--classes", "all", "--source", "annotation"]
    return run_stage(workplace, forked, "train", *arguments)


def losses_of_two_and_one(
    workplace: Path, forked: Forked, stage: str, arguments: list[str], output: str
) -> list[Losses]:
    """Run a stage by two processes and by one; return the losses of every history that each writes, by its folder."""
    found = []
    for devices in (2, 1):
        (workplace / "params.yaml").write_text(f"runtime: {{workers: 1, device: cpu, devices: {devices}}}\n")
        done = run_stage(workplace, forked, stage, *arguments)
        assert done.returncode == 0, done.stderr
        histories = sorted((workplace / output).rglob("history.csv"))
        found.append({path.parent.name: losses(path) for path in histories})
        assert all((path.parent / "metrics.json").is_file() for path in histories)
        shutil.rmtree(workplace / output)
        shutil.rmtree(workplace / ".unfinished")
    return found


def losses(history: Path) -> list[float]:
    """Return train and validation loss of every epoch."""
    return [float(row[name]) for row in csv.DictReader(history.open()) for name in ("train_loss", "validation_loss")]


def test_a_stage_trains_on_as_many_devices_as_params_say(trained: Path) -> None:
    """The claim of the stage is held once for all of them."""
    _, card = load_run(trained / "data/runs" / RUN, "cpu")
    assert card.epochs_done == TRAIN.epochs
    assert card.train.devices == 2


def test_a_run_is_repeated_on_as_many_devices_and_judged_by_one_process(trained: Path, forked: Forked) -> None:
    """Losses are those of one process, within what sums rounded otherwise make of them."""
    arguments = ["--run", RUN, "--seed", "1", "--train", "annotation", "--source", "annotation"]
    places = ["--weights", "data/weights"]
    two, one = losses_of_two_and_one(trained, forked, "repeat", arguments + places, "data/repeats")
    assert list(one) == list(two) == [f"{RUN}-1"]
    assert two[f"{RUN}-1"] == pytest.approx(one[f"{RUN}-1"], rel=TOLERANCE)


def test_a_teacher_and_its_student_are_trained_on_as_many_devices(workplace: Path, forked: Forked) -> None:
    """The processes that did not write the teacher are taught by it all the same."""
    write_student(workplace / "data/weights")
    lesson = DistillParams(teacher="tiny", student="student", kind="soft", alpha=0.5, temperature=3.0)
    (workplace / "data/settings/distill.json").write_text(lesson.model_dump_json())
    arguments = ["--teacher", "tiny", "--classes", "all", "--train", "annotation", "--source", "annotation"]
    two, one = losses_of_two_and_one(workplace, forked, "distill", arguments, "data/distilled")
    assert list(one) == list(two) == ["student", "teacher"]
    for name in one:
        assert two[name] == pytest.approx(one[name], rel=TOLERANCE)


def test_where_nobody_teaches_one_process_says_so(workplace: Path, forked: Forked) -> None:
    """No process is started for nothing."""
    lesson = DistillParams(teacher="none", student="student", kind="soft", alpha=0.5, temperature=3.0)
    (workplace / "data/settings/distill.json").write_text(lesson.model_dump_json())
    arguments = ["--teacher", "none", "--classes", "all", "--train", "annotation", "--source", "annotation"]
    without_launcher = "import sys; sys.modules['pipeline.training.distributed'] = None\n"
    code = f"{without_launcher}import runpy; sys.argv[0] = 'x'; runpy.run_module('stages.distill', run_name='__main__')"
    done = forked("-c", code, *arguments, cwd=workplace, env=os.environ | {"DVC_ROOT": str(workplace)})
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (workplace / "data/distilled/none").iterdir()] == ["summary.json"]


def test_trouble_is_one_line_of_it_and_one_of_who_had_it(workplace: Path, forked: Forked) -> None:
    """No traceback of torchrun's."""
    changes = {"learning_rate": 1e30, "optimizer": "sgd"}
    (workplace / "data/settings/train.json").write_text(TRAIN.model_copy(update=changes).model_dump_json())
    done = train(workplace, forked)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2, done.stderr
    assert "not finite" in errors[0]
    assert "ended with status 1; its own line is above" in errors[1]
    assert "Traceback" not in done.stderr
