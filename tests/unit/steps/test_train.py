"""Stage `train`."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipeline.steps.train as step
from pipeline.datasets.sample_batch import FoodVisible
from pipeline.datasets.shards import Preprocessing
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.session import predict_logits
from pipeline.export.hub import read_scores
from pipeline.inference.facts import read_score
from pipeline.models.artifact import RunEnvironment, TrainedOn, load_run
from pipeline.models.card import CARD
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import FUSIONS, RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.errors import ManifestError, ModelError, ParamsError, TrainingError
from pipeline.runtime.resumable import resumable_root
from pipeline.steps.evaluate import evaluate
from pipeline.steps.repeat import repeat
from pipeline.steps.train import train
from pipeline.training.losses import fit_temperature
from tests.forked import Forked
from tests.small_run import CATEGORIES, TRAIN, backbone_card, random_batch, select
from tests.training_data import write_cards, write_shards_of

pytestmark = pytest.mark.slow

PARAMS = TRAIN.model_copy(update={"schedule": "warmup_cosine", "warmup_epochs": 1.0})
CPU = RuntimeParams(workers=1, device="cpu")
JUDGING = EvaluateParams(batch_size=4, threads=1, ece_bins=5, top_confusions=3)
ALL = ClassSetParams(exclude=(), ambiguous=("ketchup", "chili paste"))
EVERYTHING = {
    "accumulate": 2, "balance": "sampler", "clip_norm": 0.5, "ema_decay": 0.9, "label_smoothing": 0.1,
    "layer_decay": 0.7, "optimizer": "adamw", "weight_decay": 0.05, "select": "best_validation", "test_curves": True,
}  # fmt: skip
FILES = ("model.safetensors", "run.json", "history.csv", "validation.parquet")
VALIDATION_SAMPLES = random_batch(9, seed=2)


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with one thread, shards of 13 train, 9 validation and 7 test samples, and backbones."""
    torch.set_num_threads(1)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    train_batch = random_batch(13)
    parts = [select(train_batch, range(6)), select(train_batch, range(6, 13))]
    splits = {"train": parts, "validation": [VALIDATION_SAMPLES], "test": [random_batch(7, seed=1)]}
    write_shards_of(tmp_path / "shards", splits)
    write_cards(tmp_path / "weights")
    return tmp_path


def train_in(  # noqa: PLR0913 - what tests vary
    folder: Path,
    output: str,
    *,
    roi: str = "dropping",
    extra_roi: str = "tiny",
    params: TrainParams = PARAMS,
    runtime: RuntimeParams = CPU,
    class_set: ClassSetParams = ALL,
    classes: str = "all",
) -> Path:
    """Train a run on the CPU; return its folder."""
    places = {"shards": folder / "shards", "weights": folder / "weights", "output": folder / output}
    train(params, run=RunName(roi, extra_roi, classes), class_set=class_set, runtime=runtime, **places)
    return folder / output


def test_a_run_is_a_package_with_its_history(workplace: Path) -> None:
    """The card says what was trained, the history has a row an epoch, and nothing unfinished is left."""
    folder = train_in(workplace, "run")
    model, card = load_run(folder, "cpu")
    assert (card.run, card.roi, card.extra_roi, card.epochs_done) == ("dropping+tiny-all", "dropping", "tiny", 3)
    assert (card.class_names, card.ambiguous) == (CATEGORIES, ("ketchup", "chili paste"))
    assert model.roi is not None
    assert card.preprocessing == Preprocessing(fill=0, pad=125, geometry="exact")
    assert card.made_with == RunEnvironment(device="cpu", precision="fp32", versions=step.VERSIONS)
    assert card.trained_on == TrainedOn(photos=7, samples=13, categories=4)
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert not any(name.startswith("test_") for name in rows[0])
    assert card.metrics is not None
    assert card.metrics.measured_on == "validation split"
    assert f"{card.metrics.macro_f1:.6g}" == rows[-1]["validation_macro_f1"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert not list(resumable_root().glob("train-*/"))


def test_without_a_test_sample_of_the_pair_there_is_no_f1_of_it(workplace: Path) -> None:
    """Null in the card and empty in the history, as in metrics.json; 0 would be a result."""
    batch = random_batch(20, seed=1)
    without = select(batch, np.flatnonzero(batch.targets < 2).tolist())
    write_shards_of(workplace / "others", {"train": [random_batch(8)], "test": [without]})
    folder = workplace / "run"
    names = {"class_set": ALL, "run": RunName("tiny", "none", "all")}
    curves = PARAMS.model_copy(update={"test_curves": True})
    train(curves, shards=workplace / "others", weights=workplace / "weights", output=folder, runtime=CPU, **names)
    card = load_run(folder, "cpu")[1]
    assert card.ambiguous == ("ketchup", "chili paste")
    assert {row["test_ambiguous_f1"] for row in csv.DictReader((folder / "history.csv").open())} == {""}
    evaluate(JUDGING, shards=workplace / "others", run=folder, output=workplace / "evaluation", device="cpu")
    assert json.loads((workplace / "evaluation/metrics.json").read_text())["ambiguous_f1"] is None
    metrics = read_score(workplace / "evaluation", card)
    assert metrics is not None
    scores = read_scores(card, metrics, workplace / "evaluation")
    assert [row.name for row in scores.rows] == ["top-1 accuracy", "macro F1"]


def test_a_run_paired_by_photo_says_how_many_samples_see_their_own_food(workplace: Path) -> None:
    """Of 13 train samples of 7 photos 6 do; a run of exact pairs says nothing."""
    by_photo = PARAMS.model_copy(update={"pairing": "by_photo"})
    card = load_run(train_in(workplace, "paired", params=by_photo), "cpu")[1]
    assert card.food_visible == FoodVisible(train=1 - 7 / 13)
    assert card.train.pairing == "by_photo"
    exact = train_in(workplace, "exact")
    assert not {"food_visible", "pairing"} & set(flat(json.loads((exact / "run.json").read_text())))
    assert load_run(exact, "cpu")[1].train.pairing == "exact"
    assert (workplace / "paired/model.safetensors").read_bytes() != (exact / "model.safetensors").read_bytes()
    alone = train_in(workplace, "roi", extra_roi="none", params=by_photo)
    assert load_run(alone, "cpu")[1].food_visible is None


def flat(record: dict[str, Any]) -> list[str]:
    """Return the keys of a record and of its sections."""
    return [name for key, value in record.items() for name in (key, *(value if isinstance(value, dict) else ()))]


def test_the_temperature_is_that_of_the_packages_own_logits(workplace: Path) -> None:
    """Whoever loads the package and predicts the validation split finds it; the package holds these logits."""
    folder = train_in(workplace, "run")
    model, card = load_run(folder, "cpu")
    logits = torch.from_numpy(predict_logits(model, VALIDATION_SAMPLES, torch.device("cpu")))
    targets = torch.from_numpy(VALIDATION_SAMPLES.targets)
    assert card.calibration.fitted_on == "validation split"
    assert card.calibration.temperature == pytest.approx(fit_temperature(logits, targets), 1e-3)
    table = read_predictions(folder / "validation.parquet")
    assert table.sample_ids == VALIDATION_SAMPLES.sample_ids
    np.testing.assert_allclose(table.logits, logits, atol=1e-5)
    assert fit_temperature(torch.tensor(table.logits), targets) == card.calibration.temperature


def test_training_does_not_read_the_test_split(workplace: Path) -> None:
    """Without its files a run has the same bytes; only test curves ask for them."""
    before = train_in(workplace, "before")
    for path in (workplace / "shards").glob("test-*"):
        path.unlink()
    after = train_in(workplace, "after")
    assert {name: (after / name).read_bytes() for name in FILES} == {n: (before / n).read_bytes() for n in FILES}
    with pytest.raises(ManifestError, match="test-00000.parquet: listed in the manifest but absent"):
        train_in(workplace, "curves", params=PARAMS.model_copy(update={"test_curves": True}))


def test_test_curves_change_nothing_but_the_history(workplace: Path) -> None:
    """Weights, temperature and validation predictions are those without, and the pair that was given has its curve."""
    plain = train_in(workplace, "plain")
    curves = train_in(workplace, "curves", params=PARAMS.model_copy(update={"test_curves": True}))
    for name in ("model.safetensors", "validation.parquet"):
        assert (plain / name).read_bytes() == (curves / name).read_bytes()
    assert load_run(plain, "cpu")[1].calibration == load_run(curves, "cpu")[1].calibration
    rows = list(csv.DictReader((curves / "history.csv").open()))
    assert all(0 <= float(row["test_ambiguous_f1"]) <= 1 for row in rows)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_best_epoch_on_validation_is_kept_where_asked(workplace: Path, average: float) -> None:
    """The earliest of the highest top-1; its weights, predictions and scores are one thing."""
    params = PARAMS.model_copy(update={"select": "best_validation", "epochs": 6, "ema_decay": average})
    folder = train_in(workplace, "run", params=params)
    model, card = load_run(folder, "cpu")
    scores = [float(row["validation_top1"]) for row in csv.DictReader((folder / "history.csv").open())]
    assert card.epochs_done == 1 + scores.index(max(scores)) < 6
    assert card.metrics is not None
    assert card.metrics.top1 == pytest.approx(max(scores), abs=1e-6)
    logits = predict_logits(model, VALIDATION_SAMPLES, torch.device("cpu"))
    np.testing.assert_allclose(read_predictions(folder / "validation.parquet").logits, logits, atol=1e-5)
    last = train_in(workplace, "last", params=params.model_copy(update={"select": "last"}))
    assert (last / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()
    assert load_run(last, "cpu")[1].epochs_done == 6


def test_without_a_validation_split_nothing_is_fitted(workplace: Path) -> None:
    """Temperature 1, no scores and no predictions; the history has the train part alone."""
    write_shards_of(workplace / "others", {"train": [random_batch(8)], "test": [random_batch(7, seed=1)]})
    names = {"class_set": ALL, "run": RunName("tiny", "none", "all")}
    folder = workplace / "run"
    train(PARAMS, shards=workplace / "others", weights=workplace / "weights", output=folder, runtime=CPU, **names)
    card = load_run(folder, "cpu")[1]
    assert (card.calibration.temperature, card.calibration.fitted_on, card.metrics) == (1.0, None, None)
    assert not (folder / "validation.parquet").exists()
    assert {row["validation_top1"] for row in csv.DictReader((folder / "history.csv").open())} == {""}


def test_kills_at_any_step_end_in_the_same_bytes(workplace: Path, root: Path, forked: Forked) -> None:
    """By kill -9, several times, between steps, in the middle of writing and before a test; see tests/killed_run.py.

    Weights, moments, averages, sums, order, flips, dropout and schedule all go on where they were.
    """
    (workplace / "params.json").write_text(PARAMS.model_copy(update=EVERYTHING).model_dump_json())
    done = forked("-m", "tests.killed_run", str(workplace), "7", cwd=root, env=os.environ)
    assert done.returncode == 0, done.stderr
    deaths = done.stdout.split()
    assert len(deaths) >= 5
    assert set(deaths) == {"step", "write", "test"}
    for name in FILES:
        assert (workplace / "killed" / name).read_bytes() == (workplace / "whole" / name).read_bytes()


@pytest.mark.parametrize("dies_after", [2, 5])
def test_a_shared_branch_with_dropout_goes_on_within_an_epoch(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    """The released MobileNetV2 in both places, with averages: the bytes are those of a run without a break."""
    mobilenet = backbone_card("mobilenetv2").model_copy(update={"timm": "demo_mobilenetv2", "input_size": 64})
    (workplace / "weights/mobilenetv2").mkdir()
    mobilenet.model_copy(update={"options": {"drop_rate": 0.2}}).write(workplace / "weights/mobilenetv2" / CARD)
    recipe = {"share_branches": True, "features": "logits", "normalize": "none", "schedule": "released"}
    params = PARAMS.model_copy(update=EVERYTHING | recipe)
    asked: Any = {"roi": "mobilenetv2", "extra_roi": "mobilenetv2", "params": params}
    whole, steps = train_in(workplace, "whole", **asked), iter(range(dies_after - 1))
    real = step.CheckpointCallback.on_step_end

    def on_step_end(*given: Any) -> None:
        real(*given)
        if next(steps, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(step.CheckpointCallback, "on_step_end", on_step_end)
    often = CPU.model_copy(update={"checkpoint_minutes": 0.0})
    with pytest.raises(KeyboardInterrupt):
        train_in(workplace, "broken", **asked, runtime=often)
    monkeypatch.setattr(step.CheckpointCallback, "on_step_end", real)
    broken = train_in(workplace, "broken", **asked, runtime=often)
    for name in FILES:
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    model, card = load_run(broken, "cpu")
    assert model.extra_roi is model.roi
    assert card.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_a_machine_that_fails_at_the_last_moment_loses_no_epoch(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps are done; the next sitting tests and publishes without a step more."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, "publish", fail)
    with pytest.raises(OSError, match="No space left"):
        train_in(workplace, "run")
    monkeypatch.undo()
    monkeypatch.setenv("DVC_ROOT", str(workplace))
    monkeypatch.setattr("pipeline.training.trainer.Trainer.step", fail)
    _, card = load_run(train_in(workplace, "run"), "cpu")
    assert card.epochs_done == PARAMS.epochs


def test_other_parameters_never_take_up_old_work(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint belongs to one recipe on one set of shards."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.training.progress.ProgressCallback.on_epoch_end", die)
    with pytest.raises(KeyboardInterrupt):
        train_in(workplace, "killed")
    (checkpoint,) = resumable_root().glob("train-*/checkpoint.pt")
    monkeypatch.undo()
    monkeypatch.setenv("DVC_ROOT", str(workplace))
    other = PARAMS.model_copy(update={"learning_rate": 5e-3})
    resumed, fresh = train_in(workplace, "a", params=other), train_in(workplace, "b", params=other)
    assert (resumed / "model.safetensors").read_bytes() == (fresh / "model.safetensors").read_bytes()
    assert checkpoint.is_file()


def test_curves_can_be_watched_while_a_run_trains(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row more after every epoch in the output, beside DVCLive's; in the end the package alone is there."""
    seen = list[tuple[int, bool]]()
    real = step.ProgressCallback.on_epoch_end

    def look(callback: step.ProgressCallback, state: Any) -> None:
        real(callback, state)
        rows = list(csv.DictReader((workplace / "run/history.csv").open()))
        seen.append((len(rows), (workplace / "run/dvclive/metrics.json").is_file()))

    monkeypatch.setattr(step.ProgressCallback, "on_epoch_end", look)
    train_in(workplace, "run", runtime=CPU.model_copy(update={"live_after": 0.0}))
    assert seen == [(1, True), (2, True), (3, True)]
    assert sorted(path.name for path in (workplace / "run").iterdir()) == sorted(FILES)


def test_the_average_of_the_weights_is_what_is_tested_and_saved(workplace: Path) -> None:
    """With an average the package differs, and its metrics are those of its own weights."""
    plain = train_in(workplace, "plain")
    averaged = train_in(workplace, "averaged", params=PARAMS.model_copy(update={"ema_decay": 0.9}))
    assert (plain / "model.safetensors").read_bytes() != (averaged / "model.safetensors").read_bytes()
    model, card = load_run(averaged, "cpu")
    logits = torch.from_numpy(predict_logits(model, VALIDATION_SAMPLES, torch.device("cpu")))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(VALIDATION_SAMPLES.targets))
    assert card.metrics is not None
    assert card.metrics.loss == pytest.approx(float(loss), rel=1e-4)


def test_a_run_in_bf16_says_so_and_is_judged_in_fp32(workplace: Path) -> None:
    """So that the package's own metrics are those of whoever loads it."""
    model, card = load_run(train_in(workplace, "run", params=PARAMS.model_copy(update={"precision": "bf16"})), "cpu")
    assert card.made_with.precision == "bf16"
    logits = torch.from_numpy(predict_logits(model, VALIDATION_SAMPLES, torch.device("cpu")))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(VALIDATION_SAMPLES.targets))
    assert card.metrics is not None
    assert card.metrics.loss == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize(("roi", "extra_roi"), [("tiny", "none"), ("none", "tiny")])
def test_one_branch_alone_can_be_trained(workplace: Path, roi: str, extra_roi: str) -> None:
    """On ROI or on extra-ROI."""
    model, card = load_run(train_in(workplace, "run", roi=roi, extra_roi=extra_roi), "cpu")
    assert (model.roi is None, model.extra_roi is None) == (roi == "none", extra_roi == "none")
    assert len(card.backbones) == 1


def test_a_class_set_shrinks_the_model(workplace: Path) -> None:
    """Without one of the pair, its F1 is absent from the history."""
    class_set = ClassSetParams(exclude=("ketchup",), ambiguous=ALL.ambiguous)
    curves = PARAMS.model_copy(update={"test_curves": True})
    folder = train_in(workplace, "run", class_set=class_set, classes="no_ketchup", params=curves)
    model, card = load_run(folder, "cpu")
    assert card.ambiguous == ("chili paste",)
    assert model.head[2].out_features == 3
    assert all(row["test_ambiguous_f1"] == "" for row in csv.DictReader((folder / "history.csv").open()))


def test_the_released_recipe_can_be_trained(workplace: Path) -> None:
    """Its schedule, flips, normalisation and 1000-way features together."""
    changes = {"schedule": "released", "joint_flip": False, "normalize": "none", "features": "logits", "hidden": 640}
    model, _ = load_run(train_in(workplace, "run", roi="tiny", params=PARAMS.model_copy(update=changes)), "cpu")
    assert tuple(model.head[0].weight.shape) == (640, 2000)


def test_impossible_runs_are_refused(workplace: Path) -> None:
    """No branch at all, and a device that is not there; the message lists what could be."""
    with pytest.raises(ModelError, match="both none; give at least one a backbone: dropping, tiny"):
        train_in(workplace, "run", roi="none", extra_roi="none")
    with pytest.raises(ParamsError, match="'gpu' is not on this machine"):
        train(
            PARAMS,
            run=RunName("tiny", "none", "all"),
            class_set=ALL,
            shards=workplace / "shards",
            weights=workplace / "weights",
            output=workplace / "run",
            runtime=CPU.model_copy(update={"device": "gpu"}),
        )


def test_a_diverging_run_stops(workplace: Path) -> None:
    """With the names of the samples."""
    with pytest.raises(TrainingError, match="not finite: test/"):
        train_in(workplace, "run", params=PARAMS.model_copy(update={"learning_rate": 1e30, "optimizer": "sgd"}))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_one_backbone_on_photo_and_mask_is_a_run_like_others(workplace: Path, fusion: str) -> None:
    """Trained, evaluated and repeated; what a second branch alone can have does not apply, and its card says so."""
    released = {"pairing": "by_photo", "joint_flip": False, "share_branches": True, "test_curves": True}
    params = PARAMS.model_copy(update=released)
    run = train_in(workplace, "run", roi="tiny", extra_roi=fusion, params=params)
    model, card = load_run(run, "cpu")
    assert (card.run, card.roi, card.extra_roi, tuple(card.backbones)) == (
        f"tiny+{fusion}-all",
        "tiny",
        fusion,
        ("photo",),
    )
    assert (card.train.pairing, card.train.joint_flip, card.train.share_branches) == ("exact", True, False)
    assert card.food_visible is None
    shards = workplace / "shards"
    evaluate(JUDGING, shards=shards, run=run, output=workplace / "evaluation", device="cpu")
    table = read_predictions(workplace / "evaluation/predictions.parquet")
    logits = predict_logits(model, random_batch(7, seed=1), torch.device("cpu"))
    np.testing.assert_allclose(table.logits, logits, rtol=1e-4, atol=1e-5)
    places = {"shards": shards, "eval_shards": shards, "weights": workplace / "weights"}
    repeat(JUDGING, run=run, seed=1, output=workplace / "again", runtime=CPU, **places)
    again = load_run(workplace / "again", "cpu")[1]
    assert again.train == card.train.model_copy(update={"seed": 1})
    assert again.weights_sha256 != card.weights_sha256


def test_a_fusion_trains_to_the_same_bytes_under_every_option(workplace: Path) -> None:
    """Layer decay groups its parameters, averages copy it."""
    params = PARAMS.model_copy(update=EVERYTHING)
    runs = [train_in(workplace, name, roi="tiny", extra_roi="mask_channel", params=params) for name in ("a", "b")]
    assert (runs[0] / "model.safetensors").read_bytes() == (runs[1] / "model.safetensors").read_bytes()
