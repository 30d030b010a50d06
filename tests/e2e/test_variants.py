"""What `dvc exp run` runs, beside what docs/graph.md says and test_teams.py holds: a recipe, a queue, mistakes."""

import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline.steps.configure import configure
from pipeline.steps.schedule import plan_stages
from tests.e2e.checkout import Checkout, ran
from tests.e2e.overrides import expected, replaced, values_of
from tests.torture.processes import PATIENCE, left_over

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def copy(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a twin of the study for the tests of this file; each leaves it at its last commit."""
    return study.twin(tmp_path_factory.mktemp("variants") / "copy")


def variant_of(text: str) -> str:
    """Return the name of the run in a `results/variant.json`."""
    return str(json.loads(text)["run"])


def test_the_released_recipe_is_one_switch(copy: Checkout) -> None:
    """`-S recipe=released` makes shards, weights and runs of its own; back again, nothing does."""
    run = "mobilenetv2+none-all"
    goal = f"train@{run}"
    output = copy.call("dvc", "exp", "run", "-S", "recipe=released", "-S", "train.epochs=2", "-n", "released", goal)
    assert sorted(ran(output)) == sorted(["configure", "pair@annotation", "weights@mobilenetv2", goal])
    history = (copy.folder / f"data/runs/{run}/history.csv").read_text().splitlines()
    samples = json.loads((copy.folder / "data/index/summary.json").read_text())["splits"]["train"]["samples"]
    warmup = 0.1 * (samples // 50) * 2  # a tenth of the steps of both epochs, counted in epochs
    second = 1 / warmup if warmup > 1 else 0.5 * (1 + math.cos(math.pi * (1 - warmup) / (9 * warmup)))
    assert [float(line.split(",")[1]) for line in history[1:]] == [0, pytest.approx(4e-3 * second, rel=1e-4)]
    card = json.loads((copy.folder / f"data/runs/{run}/run.json").read_text())
    assert card["train"]["deit_distilled_head"] == "released"
    copy.reset()
    copy.call("dvc", "exp", "remove", "released")
    assert ran(copy.call("dvc", "repro", goal)) == ["configure"]


def wait_for(copy: Checkout, names: list[str]) -> None:
    """Wait until experiments have ended well."""
    ends, found = time.monotonic() + PATIENCE, ""
    while not all(f"/{name}\n" in found for name in names):
        assert time.monotonic() < ends, copy.call("dvc", "queue", "status")
        time.sleep(0.2)
        found = copy.call("git", "for-each-ref", "--format=%(refname)", "refs/exps")


@contextmanager
def workers(copy: Checkout, jobs: str) -> Iterator[None]:
    """Start DVC's workers; kill them at the end: now and then one waits for ever after it has said that it ends."""
    start = ["dvc", "queue", "start", "--jobs", jobs]
    subprocess.run(start, cwd=copy.folder, env=copy.env, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - they keep it
    try:
        yield
    finally:
        copy.call("dvc", "queue", "stop", "--kill")
        for process in left_over(copy.folder):
            process.kill()


def test_a_queue_of_values_runs_two_at_a_time_and_reads_well_in_120_columns(copy: Checkout) -> None:
    """`-S 'report.samples=5,6'` queues one experiment a value; the run is one of the grid, so that none trains.

    `make exps`: the run, its metrics in a fixed order, then the parameters that differ, nothing cut off.
    """
    values = ("-S", "extra_roi=none", "-S", "report.samples=5,6")
    queued = copy.call("dvc", "exp", "run", "--queue", *values, "summary")
    names = re.findall(r"Queued experiment '([^']+)'", queued)
    assert len(names) == 2
    with workers(copy, "2"):
        wait_for(copy, names)
        for name in names:
            assert ran(copy.call("dvc", "queue", "logs", name)) == ["configure", "summary"]
    assert {variant_of(copy.shown(name, "results/variant.json")) for name in names} == {"mobilenetv2+none-all"}
    assert copy.call("git", "status", "--porcelain") == ""
    lines = copy.call("make", "exps").splitlines()
    header = next(line for line in lines if "Experiment" in line)
    assert header.split() == ["Experiment", "run", "top1", "macro_f1", "ambiguous_f1", "report.samples"]
    rows = [line.split() for line in lines if any(name in line for name in names)]
    assert {row[-5] for row in rows} == {"mobilenetv2+none-all"}
    assert {row[-1] for row in rows} == {"5", "6"}
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    "override",
    [
        "roi=deit",
        "extra_roi=none",
        "classes=no_sauce",
        "masks.eval=sam",
        "dataset=foodseg103",
        "train.epochs=5",
        "backbones.vit.timm=vit_tiny_patch16_224",
        "seed=1",
        "runtime.workers=3",
    ],
)
def test_dvc_runs_what_the_table_says(
    copy: Checkout, override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `configure`, DVC finds the same stages changed as the table of docs/graph.md: no more and no fewer.

    `plan` finds these and those below them.
    """
    should = expected(copy, override)
    params, settings = copy.folder / "params.yaml", copy.folder / "data/settings"
    shutil.copytree(settings, tmp_path / "settings")
    before = params.read_bytes()
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", copy.env["DVC_SITE_CACHE_DIR"])
    monkeypatch.chdir(copy.folder)
    YAML(typ="safe", pure=True).dump(replaced(values_of(copy), override), params)
    configure(params=params, settings=settings)
    status = Repo().status()
    planned = {name for name, plan in plan_stages().items() if plan.does != "nothing"}
    params.write_bytes(before)
    shutil.rmtree(settings)
    shutil.copytree(tmp_path / "settings", settings)
    assert status.keys() - {"configure"} == set(should.at_once)
    assert planned == {"configure", *should.at_once, *should.below}


@pytest.mark.parametrize(
    ("overrides", "stages", "message"),
    [
        (["roi=diet"], ["configure"], "roi 'diet' is not one of mobilenetv2, vit, .*none .*did you mean 'deit'"),
        (["rio=deit"], [], "Key 'rio' is not in struct"),
        (["train.epoch=5"], [], "Key 'epoch' is not in struct"),
        (["seeds=1"], [], "'Value' object is not iterable"),
        (["dataset=/data/a(1).zip"], [], "mismatched input"),
        (["dataset=/data/Soße.zip"], [], "LexerNoViableAlt"),
        (
            ["dataset='/data/Soße (1),2.zip'"],
            ["configure"],
            r"dataset '/data/Soße \(1\),2.zip' .* nor an existing path",
        ),
    ],
    ids=[
        *("backbone", "parameter", "name", "no-list", "parentheses", "letters", "quoted"),
    ],
)
def test_a_mistake_fails_before_any_work(copy: Checkout, overrides: list[str], stages: list[str], message: str) -> None:
    """One line with the valid choices, from the first stage (`tests/unit/params` has all its mistakes) or from DVC."""
    options = [part for override in overrides for part in ("-S", override)]
    output = copy.refused("dvc", "exp", "run", "--temp", *options)
    assert ran(output) == stages
    assert re.search(message, output)
