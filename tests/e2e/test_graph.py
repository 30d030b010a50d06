"""The main job itself: `dvc repro` on a small demo, from nothing to the report, and what may run after that."""

import json
import re

import pytest

from tests.e2e.checkout import MORE_RUNS, RUNS, Checkout, network_log, ran
from tests.guarded import noted

pytestmark = pytest.mark.e2e
COLLECTORS = {"configure", "ambiguous", "transfer@annotation", "repeats", "summary", "report"}
"""Stages that depend on more runs than one, or on one that the study lacks."""
PER_RUN = ("train", "evaluate", "perturb", "explain")


@pytest.fixture(scope="module")
def copy(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a twin of the study for the tests of this file."""
    return study.twin(tmp_path_factory.mktemp("graph") / "copy")


@pytest.mark.parametrize(("which", "expected"), [("study", RUNS), ("grown", RUNS | MORE_RUNS)])
def test_the_graph_ends_in_a_report_of_all_runs(which: str, expected: set[str], request: pytest.FixtureRequest) -> None:
    """From nothing with few runs, then with more of each kind: trained, perturbed, summed up; one offline page."""
    folder = request.getfixturevalue(which).folder
    summary = json.loads((folder / "results/summary.json").read_text())
    runs = {path.name for path in (folder / "data/runs").iterdir()}
    assert set(summary["runs"]) == runs == {path.name for path in (folder / "data/perturbations").iterdir()} == expected
    page = (folder / "data/report/index.html").read_text()
    assert "</html>" in page
    assert not re.search(r"(src|href)=[\"']https?://", page.split("<main")[0])


def test_runs_that_join_the_graph_leave_finished_ones_alone(study: Checkout, grown: Checkout) -> None:
    """Only stages of the new runs, and those that collect; the others' hashes stay."""
    few, many = study.lock(), grown.lock()
    new = many.keys() - few.keys()
    assert {stage.partition("@")[0] for stage in new} == set(PER_RUN)
    assert new <= set(ran(grown.folder.with_name("grown.done").read_text())) <= new | COLLECTORS
    kept = few.keys() - COLLECTORS
    assert {stage: many[stage] for stage in kept} == {stage: few[stage] for stage in kept}


def test_no_process_of_the_graph_tried_to_connect(study: Checkout, grown: Checkout) -> None:
    """Neither a stage nor DVC: every one of them was guarded, and none asked for a host."""
    logs = [network_log(copy) for copy in (study, grown)]
    lines = [line for log in logs for line in noted(log, "guarded")]
    stages = {words[words.index("-m") + 1] for line in lines if "-m" in (words := line.split())}
    scripts = {path.stem for path in (study.folder / "stages").glob("[!_]*.py")}
    asked = {"repeat", "vote"}  # stages that nothing runs unless `seeds` or `vote.models` name something
    assert scripts - asked <= {name.rpartition(".")[2] for name in stages}
    assert any("dvc" in line for line in lines)
    assert [line for log in logs for line in noted(log, "refused")] == []


def test_stages_leave_how_many_samples_they_went_through(study: Checkout) -> None:
    """Beside the outputs, in one unit: not batches here and files there."""
    records = map(json.loads, (study.folder / ".times/stages.jsonl").read_text().splitlines())
    works = {record["stage"].partition("@")[0]: record["work"] for record in records}
    splits = json.loads((study.folder / "data/index/summary.json").read_text())["splits"]
    samples = {name: split["samples"] for name, split in splits.items()}
    counted = dict.fromkeys(("segment", "pair", "probe"), sum(samples.values()))
    counted |= {"train": samples["train"]} | dict.fromkeys(("evaluate", "perturb"), samples["test"])
    for stage, amount in counted.items():
        assert (works[stage]["unit"], works[stage]["amount"]) == ("sample", amount), stage
    assert works["explain"]["unit"] == "sample"


def test_a_second_repro_does_nothing(copy: Checkout) -> None:
    """Nothing changed, nothing runs but the look outside, no byte of the lock file moves."""
    before = (copy.folder / "dvc.lock").read_bytes()
    assert ran(copy.call("dvc", "repro")) == ["configure"]
    assert (copy.folder / "dvc.lock").read_bytes() == before


def test_training_gives_the_same_bytes_again(copy: Checkout) -> None:
    """A forced second training of one run leaves the lock file as it was."""
    before = copy.lock()
    copy.call("dvc", "repro", "--force", "--single-item", "--no-run-cache", "train@mobilenetv2+none-all")
    assert copy.lock() == before
