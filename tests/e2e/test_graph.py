"""The main job itself: `dvc repro` on a small demo, from nothing to the report, and what may run after that."""

import json
import re
from pathlib import Path

import pytest

from pipeline.reporting.grid import PAPER_RUNS
from tests.e2e.checkout import Checkout, checkout, ran
from tests.guarded import noted

pytestmark = pytest.mark.e2e
DATA_STAGES = ("configure", "download", "index", "segment@annotation", "pair@annotation")


@pytest.fixture(scope="module")
def copy(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a twin of the study for the tests of this file."""
    return study.twin(tmp_path_factory.mktemp("graph") / "copy")


def test_the_graph_ends_in_a_report_of_all_runs(study: Checkout) -> None:
    """Twenty runs trained, evaluated, perturbed, and in the summary; one offline page."""
    summary = json.loads((study.folder / "results/summary.json").read_text())
    assert {run.name for run in PAPER_RUNS} <= set(summary["runs"])
    page = (study.folder / "data/report/index.html").read_text()
    assert "</html>" in page
    assert not re.search(r"(src|href)=[\"']https?://", page.split("<main")[0])


def test_no_process_of_the_graph_tried_to_connect(study: Checkout) -> None:
    """Neither a stage nor DVC: every one of them was guarded, and none asked for a host."""
    log = study.folder.with_name("study.network")
    stages = {words[words.index("-m") + 1] for line in noted(log, "guarded") if "-m" in (words := line.split())}
    scripts = {path.stem for path in (study.folder / "stages").glob("[!_]*.py")}
    assert scripts - {"repeat"} <= {name.rpartition(".")[2] for name in stages}, "but `repeat`, which needs `seeds`"
    assert any("dvc" in line for line in noted(log, "guarded"))
    assert noted(log, "refused") == []


def test_a_second_repro_does_nothing(copy: Checkout) -> None:
    """Nothing changed, nothing runs but the look outside, no byte of the lock file moves."""
    before = (copy.folder / "dvc.lock").read_bytes()
    assert ran(copy.call("dvc", "repro")) == ["configure"]
    assert (copy.folder / "dvc.lock").read_bytes() == before


def test_data_stages_give_the_same_bytes_elsewhere(study: Checkout, tmp_path: Path) -> None:
    """Another path, worker count, time zone, language and hash seed: the same hashes."""
    other = checkout(tmp_path / "elsewhere é", TZ="Asia/Seoul", LANG="C", LC_ALL="C", PYTHONHASHSEED="7")
    params = other.folder / "params.yaml"
    params.write_text(params.read_text().replace("workers: 0 ", "workers: 3 "))
    other.call("dvc", "repro", "pair@annotation")
    assert {stage: other.lock()[stage] for stage in DATA_STAGES} == {s: study.lock()[s] for s in DATA_STAGES}


def test_training_gives_the_same_bytes_again(copy: Checkout) -> None:
    """A forced second training of one run leaves the lock file as it was."""
    before = copy.lock()
    copy.call("dvc", "repro", "--force", "--single-item", "--no-run-cache", "train@vit+none-all")
    assert copy.lock() == before
