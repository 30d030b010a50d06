"""The main job itself: `dvc repro` on a small demo, from nothing to the report, and what may run after that."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.reporting.grid import PAPER_RUNS

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
DATA_STAGES = ("configure", "download", "index", "segment@annotation", "pair@annotation")


@dataclass(frozen=True)
class Checkout:
    """A copy of this checkout with its own git and DVC."""

    folder: Path
    """Root of the copy."""
    env: dict[str, str]
    """Environment of its commands."""

    def call(self, *command: str) -> str:
        """Run a command here and return what it printed; fail with that if it fails."""
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def lock(self) -> dict[str, object]:
        """Return the outputs' hashes by stage."""
        stages = YAML(typ="safe").load(self.folder / "dvc.lock")["stages"]
        return {name: stage["outs"] for name, stage in stages.items()}


def checkout(folder: Path, **env: str) -> Checkout:
    """Copy tracked and new files of this checkout, with a demo small enough for a test."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and name != "dvc.lock" and not name.startswith("results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shrink(folder / "params.yaml")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    copy = Checkout(folder, os.environ | {"PATH": path, "OMP_WAIT_POLICY": "PASSIVE"} | env)
    copy.call("git", "init", "-q", "-b", "main")
    commit(copy)
    return copy


def shrink(params: Path) -> None:
    """Few photos and one epoch: the graph is tested here, not the models."""
    yaml = YAML()
    values = yaml.load(params)
    values["demo"] |= {"train_photos": 40, "test_photos": 24}
    values["masks"]["photos_per_file"] = values["pair"]["photos_per_file"] = 16
    values["train"]["epochs"] = 1
    yaml.dump(values, params)


def commit(copy: Checkout) -> None:
    """Commit everything, as a user would before an experiment."""
    copy.call("git", "add", "-A")
    copy.call("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "study")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a checkout in which the whole graph has run."""
    copy = checkout(tmp_path_factory.mktemp("study"))
    copy.call("dvc", "repro")
    commit(copy)
    return copy


def ran(output: str) -> list[str]:
    """Return the stages that DVC says it ran."""
    return re.findall(r"Running stage '([^']+)'", output)


def test_the_graph_ends_in_a_report_of_all_runs(study: Checkout) -> None:
    """Twenty runs trained, evaluated, perturbed, and in the summary; one offline page."""
    summary = json.loads((study.folder / "results/summary.json").read_text())
    assert {run.name for run in PAPER_RUNS} <= set(summary["runs"])
    page = (study.folder / "data/report/index.html").read_text()
    assert "</html>" in page
    assert not re.search(r"(src|href)=[\"']https?://", page.split("<main")[0])


def test_a_second_repro_does_nothing(study: Checkout) -> None:
    """Nothing changed, nothing runs, no byte of the lock file moves."""
    before = (study.folder / "dvc.lock").read_bytes()
    assert ran(study.call("dvc", "repro")) == []
    assert (study.folder / "dvc.lock").read_bytes() == before


def test_data_stages_give_the_same_bytes_elsewhere(study: Checkout, tmp_path: Path) -> None:
    """Another path, worker count, time zone, language and hash seed: the same hashes."""
    other = checkout(tmp_path / "elsewhere é", TZ="Asia/Seoul", LANG="C", LC_ALL="C", PYTHONHASHSEED="7")
    params = other.folder / "params.yaml"
    params.write_text(params.read_text().replace("workers: 0 ", "workers: 3 "))
    other.call("dvc", "repro", "pair@annotation")
    assert {stage: other.lock()[stage] for stage in DATA_STAGES} == {s: study.lock()[s] for s in DATA_STAGES}


def test_training_gives_the_same_bytes_again(study: Checkout) -> None:
    """A forced second training of one run leaves the lock file as it was."""
    before = study.lock()
    study.call("dvc", "repro", "--force", "--single-item", "--no-run-cache", "train@vit+none-all")
    assert study.lock() == before


def test_a_variant_runs_its_own_stages_only(study: Checkout) -> None:
    """`-S roi=deit` trains, evaluates, perturbs and explains one new run, then collects."""
    output = study.call("dvc", "exp", "run", "-S", "roi=deit", "-n", "deit-roi")
    name = "deit+vit-all"
    own = [f"{stage}@{name}" for stage in ("train", "evaluate", "perturb", "explain")]
    assert sorted(ran(output)) == sorted(["configure", *own, "summary", "report"])
    variant = json.loads((study.folder / "results/variant.json").read_text())
    assert variant["run"] == name
    study.call("git", "checkout", "-q", "--", ".")
    study.call("dvc", "checkout", "-q")


def test_a_variant_of_the_grid_trains_nothing(study: Checkout) -> None:
    """`vit+vit` is a run of the paper already."""
    output = study.call("dvc", "exp", "run", "-S", "roi=vit", "-n", "vit-roi")
    assert ran(output) == ["configure", "summary", "report"]
    study.call("git", "checkout", "-q", "--", ".")
    study.call("dvc", "checkout", "-q")


def test_a_misspelt_variant_fails_before_any_work(study: Checkout) -> None:
    """One line with the valid choices, from the first stage."""
    done = subprocess.run(
        ["dvc", "exp", "run", "-S", "roi=diet"],  # noqa: S607
        cwd=study.folder, env=study.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    study.call("git", "checkout", "-q", "--", ".")
    assert done.returncode != 0
    assert "did you mean 'deit'" in done.stderr
    assert ran(done.stdout) == ["configure"]
