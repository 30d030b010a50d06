"""Stages `repeat` and `repeats`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pipeline.evaluation.ambiguous import AmbiguousPair
from pipeline.evaluation.repetitions import Repetitions
from pipeline.models.artifact import load_run
from pipeline.models.backbone import create_timm_model
from pipeline.models.card import CARD, WEIGHTS, read_card
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import EvaluateParams, RepetitionPlan
from pipeline.runtime.errors import ManifestError, WeightsError
from pipeline.runtime.manifest import sha256_of
from pipeline.steps.evaluate import evaluate
from pipeline.steps.repeat import repeat
from pipeline.steps.repeats import collect_repetitions
from pipeline.steps.train import train
from tests.forked import Forked
from tests.small_run import TRAIN, random_batch
from tests.training_data import write_shards_of, write_workplace

pytestmark = pytest.mark.slow

CPU = RuntimeParams(workers=1, device="cpu")
JUDGING = EvaluateParams(batch_size=4, threads=1, ece_bins=5, top_confusions=3)
PAIR = AmbiguousPair(names=("ketchup", "chili paste"), chosen="given", basis="as given")
EGGLESS = ClassSetParams(exclude=("bread",), ambiguous=("ketchup", "chili paste"))
RUN = "tiny+none-no_bread"
RECIPE = TRAIN.model_copy(update={"epochs": 2})


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with shards and backbones; `tiny` has pre-trained weights."""
    torch.set_num_threads(1)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_workplace(tmp_path)
    pretrain(tmp_path / "weights/tiny", seed=5)
    return tmp_path


def pretrain(folder: Path, *, seed: int) -> None:
    """Give a backbone weights of 1000 classes, and its card their hash."""
    card = read_card(folder)
    torch.manual_seed(seed)
    tensors = create_timm_model(card.timm_id(), card.options).state_dict()
    safetensors.torch.save_file(dict(tensors), folder / WEIGHTS)
    stored = {"source": "file", "file": "w.pth", "sha256": "0" * 64, "stored_sha256": sha256_of(folder / WEIGHTS)}
    card.model_copy(update=stored).write(folder / CARD)


def train_own(folder: Path, output: str = "runs", recipe: TrainParams = RECIPE) -> Path:
    """Train the run itself, with a class set and a recipe of its own."""
    train(
        recipe,
        run=RunName.parse(RUN),
        class_set=EGGLESS,
        shards=folder / "shards",
        weights=folder / "weights",
        output=folder / output / RUN,
        runtime=CPU,
    )
    return folder / output / RUN


def repeat_in(folder: Path, seed: int, output: str | None = None) -> Path:
    """Repeat it; return the folder."""
    place = folder / (output or f"repeats/{RUN}-{seed}")
    repeat(
        JUDGING,
        run=folder / "runs" / RUN,
        seed=seed,
        shards=folder / "shards",
        eval_shards=folder / "shards",
        weights=folder / "weights",
        output=place,
        runtime=CPU,
    )
    return place


def test_a_repetition_is_the_run_under_another_seed(workplace: Path) -> None:
    """Weights are those of training with that seed in the first place, class set and pre-trained weights included."""
    train_own(workplace)
    repeated = repeat_in(workplace, 7)
    direct = train_own(workplace, "direct", RECIPE.model_copy(update={"seed": 7}))
    assert (repeated / WEIGHTS).read_bytes() == (direct / WEIGHTS).read_bytes()
    assert (repeated / "history.csv").read_bytes() == (direct / "history.csv").read_bytes()
    _, card = load_run(repeated, "cpu")
    assert (card.run, card.train.seed, card.class_names) == (f"{RUN}-7", 7, ("sauce", "ketchup", "chili paste"))


def test_a_repetition_is_judged_as_a_run_is(workplace: Path) -> None:
    """The same files with the same bytes as stage `evaluate`."""
    train_own(workplace)
    repeated = repeat_in(workplace, 7)
    evaluate(JUDGING, shards=workplace / "shards", run=repeated, output=workplace / "judged", device="cpu")
    for path in (workplace / "judged").iterdir():
        assert path.read_bytes() == (repeated / path.name).read_bytes()
    assert (repeated / "metrics.json").is_file()


def test_an_interrupted_repetition_ends_in_the_same_bytes(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is resumed from its last checkpoint."""
    train_own(workplace)
    whole = repeat_in(workplace, 7, "whole")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.training.progress.ProgressCallback.on_epoch_end", die)
    with pytest.raises(KeyboardInterrupt):
        repeat_in(workplace, 7)
    monkeypatch.undo()
    monkeypatch.setenv("DVC_ROOT", str(workplace))
    resumed = repeat_in(workplace, 7)
    for path in whole.iterdir():
        assert path.read_bytes() == (resumed / path.name).read_bytes()


def test_other_pre_trained_weights_are_refused(workplace: Path) -> None:
    """The run's card pins them, since DVC does not know that a repetition reads them."""
    train_own(workplace)
    pretrain(workplace / "weights/tiny", seed=6)
    with pytest.raises(WeightsError, match="not the weights that tiny's card names; run `dvc repro weights@tiny`"):
        repeat_in(workplace, 7)


def test_other_shards_are_refused(workplace: Path) -> None:
    """The run's card pins them too."""
    train_own(workplace)
    shutil.rmtree(workplace / "shards")
    write_shards_of(workplace / "shards", {"train": [random_batch(12)], "test": [random_batch(11, seed=1)]})
    with pytest.raises(ManifestError, match="not the shards that .* was trained on; run `dvc repro`"):
        repeat_in(workplace, 7)


def ask_for(folder: Path, *seeds: int) -> Repetitions:
    """Collect repetitions under those seeds, beside seed 0."""
    plan = RepetitionPlan(seeds=(0, *seeds) if seeds else (), runs=(RUN,) if seeds else ())
    PAIR.write(folder / "ambiguous.json")
    (folder / "repeats").mkdir(exist_ok=True)
    (folder / "repeats/plan.json").write_text(plan.model_dump_json())
    places = {"repeats": folder / "repeats", "evaluations": folder / "evaluations"}
    collect_repetitions(**places, ambiguous=folder / "ambiguous.json", output=folder / "repetitions.json")
    return Repetitions.model_validate_json((folder / "repetitions.json").read_bytes())


def test_what_is_asked_for_is_collected_and_nothing_else(workplace: Path) -> None:
    """A repetition of an earlier request lies there, and changes nothing; an absent one is named."""
    own = train_own(workplace)
    evaluate(JUDGING, shards=workplace / "shards", run=own, output=workplace / "evaluations" / RUN, device="cpu")
    repeat_in(workplace, 1)
    alone = ask_for(workplace, 1)
    repeat_in(workplace, 2)
    assert ask_for(workplace, 1) == alone
    assert alone.seeds == (0, 1)
    assert [len(spread.by_seed) for spread in alone.spreads] == [2, 2, 2]
    assert ask_for(workplace, 1, 2).seeds == (0, 1, 2)
    with pytest.raises(ManifestError, match=rf"absent; run `dvc repro repeat@{RUN}-3`".replace("+", r"\+")):
        ask_for(workplace, 1, 3)


def test_without_seeds_there_is_nothing_to_say(workplace: Path) -> None:
    """And nothing is read."""
    assert ask_for(workplace).seeds == ()


def test_the_stages_work_as_the_graph_asks(workplace: Path, root: Path, forked: Forked) -> None:
    """Through the command line; collecting imports no torch."""
    own = train_own(workplace, "data/runs")
    evaluate(JUDGING, shards=workplace / "shards", run=own, output=workplace / "data/evaluations" / RUN, device="cpu")
    (workplace / "data/settings").mkdir()
    (workplace / "data/settings/evaluate.json").write_text(JUDGING.model_dump_json())
    PAIR.write(workplace / "data/ambiguous.json")
    (workplace / "params.yaml").write_text("runtime: {workers: 1, device: cpu}\n")
    (workplace / "data/shards").mkdir()
    (workplace / "shards").rename(workplace / "data/shards/annotation")
    env = os.environ | {"PYTHONPATH": str(root)}
    command = ["-m", "stages.repeat", "--run", RUN, "--seed", "1", "--train", "annotation"]
    command += ["--source", "annotation", "--weights", "weights"]
    done = forked(*command, cwd=workplace, env=os.environ)
    assert done.returncode == 0, done.stderr
    plan = RepetitionPlan(seeds=(0, 1), runs=(RUN,))
    (workplace / "data/repeats/plan.json").write_text(plan.model_dump_json())
    code = "import sys, stages.repeats; stages.repeats.main(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=workplace, env=env, check=True)  # noqa: S603
    found = Repetitions.model_validate_json((workplace / "data/repetitions.json").read_bytes())
    assert found.seeds == (0, 1)
