"""Stage `explain` on a small study and untrained runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.sample_batch import InputName
from pipeline.evaluation.heat_maps import FILE, read_heat_maps
from pipeline.evaluation.predictions import read_predictions
from pipeline.params.stages import EvaluateParams, ExplainParams
from pipeline.steps.evaluate import evaluate
from pipeline.steps.explain import explain
from tests.small_run import write_small_run
from tests.unit.reporting.study import AMBIGUOUS, CATEGORIES, StudyFolder, _make_data

PARAMS = ExplainParams(samples=8, method="hires_cam", explained="prediction", batch_size=3, threads=1, seed=0)
CLASSES = ("rice", "sauce", "ketchup", "chili paste")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Return real index and shards."""
    folder = StudyFolder(tmp_path_factory.mktemp("study"))
    _make_data(folder, CATEGORIES)
    return folder


def explained(params: ExplainParams, study: StudyFolder, run: Path, output: Path) -> None:
    """Run the step."""
    explain(
        params,
        samples=study.index / "samples.parquet",
        shards=study.shards / "annotation",
        run=run,
        output=output,
        device="cpu",
    )


@pytest.mark.parametrize("branches", [("roi",), ("extra_roi",), ("roi", "extra_roi"), ("photo",)])
def test_every_branch_has_a_map_of_every_chosen_sample(
    tmp_path: Path, study: StudyFolder, branches: tuple[InputName, ...]
) -> None:
    """The pair's samples among them; predictions are those of stage `evaluate`."""
    run = write_small_run(tmp_path / "run", branches, class_names=CLASSES)
    explained(PARAMS, study, run, tmp_path / "out")
    judging = EvaluateParams(batch_size=4, threads=1, ece_bins=5, top_confusions=3)
    evaluate(judging, shards=study.shards / "annotation", run=run, output=tmp_path / "judged", device="cpu")
    maps = read_heat_maps(tmp_path / "out" / FILE)
    table = read_predictions(tmp_path / "judged/predictions.parquet")
    assert [m.sample_id for m in maps if m.branch == branches[0]] == list(dict.fromkeys(m.sample_id for m in maps))
    assert len(maps) == 8 * len(branches)
    assert {m.truth for m in maps} >= set(AMBIGUOUS)
    for found in maps:
        row = table.sample_ids.index(found.sample_id)
        assert (found.truth, found.prediction, found.explained) == (
            table.class_names[table.targets[row]],
            table.class_names[table.predictions[row]],
            found.prediction,
        )
    described = json.loads((tmp_path / "out/summary.json").read_text())["branches"]
    assert {name: entry["maps"] for name, entry in described.items()} == dict.fromkeys(branches, 8)


def test_the_same_run_gives_the_same_bytes_and_batches_change_next_to_nothing(
    tmp_path: Path, study: StudyFolder
) -> None:
    """Two runs of the step agree to the bit."""
    run = write_small_run(tmp_path / "run", ("roi", "extra_roi"), class_names=CLASSES)
    for name, batch_size in (("a", 3), ("b", 3), ("c", 8)):
        explained(PARAMS.model_copy(update={"batch_size": batch_size}), study, run, tmp_path / name)
    for file in (FILE, "summary.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    one = {(m.sample_id, m.branch): m.heat for m in read_heat_maps(tmp_path / "a" / FILE)}
    other = {(m.sample_id, m.branch): m.heat for m in read_heat_maps(tmp_path / "c" / FILE)}
    for key, heat in one.items():
        np.testing.assert_allclose(heat, other[key], rtol=1e-3, atol=1e-6)


def test_the_truth_can_be_explained_instead_of_the_prediction(tmp_path: Path, study: StudyFolder) -> None:
    """`explain.explained: truth`."""
    run = write_small_run(tmp_path / "run", ("roi",), class_names=CLASSES)
    explained(PARAMS.model_copy(update={"explained": "truth"}), study, run, tmp_path / "out")
    maps = read_heat_maps(tmp_path / "out" / FILE)
    assert [m.explained for m in maps] == [m.truth for m in maps]
    assert any(m.truth != m.prediction for m in maps)


def test_a_run_without_sauce_explains_none(tmp_path: Path, study: StudyFolder) -> None:
    """Only samples of its own classes, with its own targets."""
    run = write_small_run(tmp_path / "run", ("roi",), class_names=("rice", "ketchup", "chili paste"))
    explained(PARAMS, study, run, tmp_path / "out")
    assert {m.truth for m in read_heat_maps(tmp_path / "out" / FILE)} == {"rice", "ketchup", "chili paste"}
