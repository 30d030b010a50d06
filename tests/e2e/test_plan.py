"""`python -m pipeline plan` says what DVC then does, and `tools.grid` runs the grid side by side."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.runtime.resumable import file_lock
from tests.e2e.checkout import Checkout, environment, ran
from tests.e2e.overrides import expected
from tests.guarded import without_network
from tests.torture.__main__ import leave_out_runs
from tests.torture.disk import own_disk

pytestmark = pytest.mark.e2e
LISTED = """
import json, sys
from pipeline.steps.plan import _configured
from pipeline.steps.schedule import plan_stages
with _configured(sys.argv[1:]) as (params, data):
    plans = plan_stages(params=params, data=data)
print(json.dumps([name for name, plan in plans.items() if plan.does == "run"]))
"""


def planned(copy: Checkout, *changes: str) -> set[str]:
    """Return the stages that the plan says will run."""
    return {*json.loads(copy.call("python", "-c", LISTED, *changes).splitlines()[-1])}


@pytest.fixture(scope="module")
def copy(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a finished study."""
    return study.twin(tmp_path_factory.mktemp("plan") / "copy")


def test_a_plan_is_what_dvc_then_does(copy: Checkout) -> None:
    """Nothing to do; after a setting moved; and again after it moved back, when all comes from the run cache."""
    assert planned(copy) == {"configure"}
    should = planned(copy, "agreement.shown=2")
    assert should == {"configure", "agreement@annotation", "report"}
    before = (copy.folder / "params.yaml").read_text()
    yaml = YAML()
    values = yaml.load(before)
    values["agreement"]["shown"] = 2
    yaml.dump(values, copy.folder / "params.yaml")
    text = copy.call("python", "-m", "pipeline", "plan")
    assert "agreement.shown: 3 -> 2" in text
    output = copy.call("dvc", "repro")
    assert {*ran(output)} == should
    assert "[88/88] report: about" in output
    (copy.folder / "params.yaml").write_text(before)
    assert planned(copy) == {"configure"}
    assert "2 come from DVC's cache" in copy.call("python", "-m", "pipeline", "plan")
    assert ran(copy.call("dvc", "repro")) == ["configure"]


def test_a_variant_is_planned_without_changing_anything(copy: Checkout) -> None:
    """Every stage that must run or may, by `dvc.yaml` and `configure`."""
    status = copy.call("git", "status", "--porcelain")
    should = expected(copy, "roi=deit")
    assert planned(copy, "roi=deit") == {"configure", *should.at_once, *should.below}
    assert "train deit+vit-all: has not run yet" in copy.call("python", "-m", "pipeline", "plan", "-S", "roi=deit")
    assert copy.call("git", "status", "--porcelain") == status
    assert "is not one of" in copy.refused("python", "-m", "pipeline", "plan", "-S", "roi=resnet")


def test_another_data_set_is_planned_without_a_network(copy: Checkout) -> None:
    """What it would fetch, what is known of its size, and that it is 224 pixels wide."""
    text = copy.call(*without_network(), "python", "-m", "pipeline", "plan", "-S", "dataset=foodseg103")
    assert "download: foodseg103 from research.larc.smu.edu.sg" in text
    assert "download: weights of vit from huggingface.co, 346MB" in text
    assert "disk: " in text


def test_a_disk_that_is_too_small_is_told_before(study: Checkout, tmp_path: Path) -> None:
    """By the exit code, too; then `dvc repro` would end half-way."""
    disk = tmp_path / "disk"
    with own_disk(disk):
        small = study.clone(disk / "study")
        text = small.refused("python", "-m", "pipeline", "plan", "-S", "dataset=foodseg103")
    assert "DOES NOT FIT" in text


def test_the_grid_runs_side_by_side_and_goes_on_after_a_failure(study: Checkout, tmp_path: Path) -> None:
    """Two at once; one that cannot run stops no other, and the next call makes it and collects the study."""
    copy = study.twin(tmp_path / "copy")
    leave_out_runs(copy.folder / "dvc.yaml")
    yaml = YAML()
    values = yaml.load(copy.folder / "params.yaml")
    values["train"]["epochs"] = 2
    yaml.dump(values, copy.folder / "params.yaml")
    grid = ("python", "-m", "tools.grid", "--jobs", "2")
    stage = "train@mixer+none-all"
    with ExitStack() as stack:
        for slot in ("job0", "job1"):  # somebody else trains it
            lock = copy.folder / f".unfinished/grid/{slot}/.unfinished/stages/{stage}.lock"
            stack.enter_context(file_lock(lock, stage))
        output = copy.refused(*grid)
    assert "4 runs to train, 2 at once" in output
    assert "train-mixer+none-all FAILED" in output
    assert "3 done, 1 failed, 0 waiting" in output
    done = copy.call(*grid)
    assert "1 runs to train" in done
    assert planned(copy) == {"configure"}
    assert not (copy.folder / ".unfinished/grid").exists()
    lines = (copy.folder / ".times/stages.jsonl").read_text().splitlines()
    trained = {entry["stage"] for entry in map(json.loads, lines) if entry["done"]}
    assert stage in trained
    assert Checkout(copy.folder, environment(copy.folder)).lock()[stage]
