"""Ann runs and pushes; Bob, with a fresh clone and no GPU, gets all of it and runs nothing. See docs/teams.md."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.checkout import CACHE, Checkout, ran
from tests.e2e.servers import BUCKET, HOST, PASSWORD, s3_server, ssh_server
from tests.unit.demo.test_dataset import contents

pytestmark = pytest.mark.e2e
VARIANT = ("-S", "roi=mixer", "-S", "classes=no_sauce", "-S", "extra_roi=none")
"""One branch on few classes: the quickest run that is not in the grid."""
RUN = "mixer+none-no_sauce"
PLAN = ("python", "-m", "pipeline", "plan", *VARIANT)
COLLECTORS = ("configure", "report", "summary", "transfer@annotation", "repeats")
"""What runs with every variant; stage `distill` reads its classes, too."""
REPORT = "data/report/index.html"
HEAVY = ("raw/Images/*/*/*", "masks/*/*.parquet", "shards/*/*.parquet", "runs/*/*.safetensors")
"""Files of `data/` that no number of a report needs."""


@pytest.fixture
def ann(study: Checkout, tmp_path: Path) -> Checkout:
    """Return the checkout of the one who pushes."""
    return study.twin(tmp_path / "ann")


@contextmanager
def remote(kind: str, folder: Path) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """Lend a remote: its URL, the settings for everybody, and the secrets of one person."""
    folder.mkdir()
    match kind:
        case "ssh":
            with ssh_server(folder) as port:
                yield f"ssh://{HOST}/study", {"port": str(port), "user": "team"}, {"password": PASSWORD}
        case "s3":
            with s3_server() as url:
                secrets = {"access_key_id": "team", "secret_access_key": PASSWORD}
                yield f"s3://{BUCKET}/study", {"endpointurl": url, "region": "us-east-1"}, secrets


def share(ann: Checkout, url: str, settings: dict[str, str]) -> None:
    """Write the remote into .dvc/config and commit it, as docs/teams.md says."""
    ann.call("dvc", "remote", "add", "--default", "team", url)
    for name, value in (settings | {"verify": "true"}).items():
        ann.call("dvc", "remote", "modify", "team", name, value)
    ann.commit()


def log_in(one: Checkout, secrets: dict[str, str]) -> None:
    """Write the secrets into .dvc/config.local, which git ignores."""
    for name, value in secrets.items():
        one.call("dvc", "remote", "modify", "--local", "team", name, value)


@contextmanager
def joined(kind: str, ann: Checkout, folder: Path, *parts: str) -> Iterator[Checkout]:
    """Lend a fresh clone that has pulled what `ann` pushed to a real server: all, or parts."""
    with remote(kind, folder / "remote") as (url, settings, secrets):
        share(ann, url, settings)
        log_in(ann, secrets)
        ann.call("dvc", "push", *parts)
        bob = ann.clone(folder / "bob")
        log_in(bob, secrets)
        bob.call("dvc", "pull", *parts)
        assert PASSWORD not in (bob.folder / ".dvc/config").read_text()
        yield bob


def test_a_fresh_clone_pulls_and_runs_nothing(ann: Checkout, tmp_path: Path) -> None:
    """Two clones and SSH: the second has every result, and DVC runs nothing but its look outside."""
    with joined("ssh", ann, tmp_path) as bob:
        assert ran(bob.call("dvc", "repro")) == ["configure"]
        assert (bob.folder / REPORT).read_bytes() == (ann.folder / REPORT).read_bytes()
        assert bob.call("git", "status", "--porcelain") == ""


def test_shards_travel_through_s3(ann: Checkout, tmp_path: Path) -> None:
    """And nothing else does."""
    with joined("s3", ann, tmp_path, "pair") as bob:
        assert contents(bob.folder / "data") == {
            f"shards/{name}": content for name, content in contents(ann.folder / "data/shards").items()
        }


@pytest.fixture(scope="module")
def pushed(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return the checkout of somebody who has pushed the study to a folder; tests clone it and only add to both."""
    folder = tmp_path_factory.mktemp("team")
    ann = study.twin(folder / "ann")
    share(ann, str(folder / "remote"), {})
    ann.call("dvc", "push")
    return ann


def test_repro_pulls_by_itself_and_runs_nothing(pushed: Checkout, tmp_path: Path) -> None:
    """`dvc repro --pull` in a fresh clone, nothing pulled before: only `configure` runs, and the report is there."""
    bob = pushed.clone(tmp_path / "bob")
    assert ran(bob.call("dvc", "repro", "--pull")) == ["configure"]
    assert (bob.folder / REPORT).read_bytes() == (pushed.folder / REPORT).read_bytes()
    assert bob.call("git", "status", "--porcelain") == ""


def test_a_member_without_gpu_reports_on_runs_of_others(pushed: Checkout, tmp_path: Path) -> None:
    """Neither torch nor a GPU, neither models nor shards nor photos: the numbers of all runs, as Ann has them."""
    bob = pushed.clone(tmp_path / "bob")
    bob.call("python", "-m", "tools.report_inputs")
    heavy = [path for pattern in HEAVY for path in sorted((pushed.folder / "data").glob(pattern))]
    assert {path.relative_to(pushed.folder).parts[1] for path in heavy} == {"raw", "masks", "shards", "runs"}
    assert not [path for path in heavy if (bob.folder / path.relative_to(pushed.folder)).exists()]
    assert not [path for path in heavy if bob.cached(path).exists()]
    assert all(pushed.cached(path).exists() for path in heavy)
    bare = Checkout(bob.folder, bob.env | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(without_torch(tmp_path))})
    assert "no torch here" in bare.refused("python", "-c", "import torch")
    bare.call("python", "-m", "pipeline", "report", "--no-photos", "--out", "report")
    numbers, whole = (
        json.loads((folder / "results.json").read_text(encoding="utf-8"))
        for folder in (bob.folder / "report", (pushed.folder / REPORT).parent)
    )
    assert numbers["runs"] == whole["runs"]
    assert numbers["tables"] == whole["tables"]
    assert "Made without photos" in (bob.folder / "report/index.html").read_text(encoding="utf-8")


def test_what_a_remote_lacks_or_has_damaged_is_named(pushed: Checkout, tmp_path: Path) -> None:
    """In one line with the mend; nothing of it is left here, and a whole remote then gives it."""
    bob, first = pushed.clone(tmp_path / "bob"), "data/agreement/annotation/summary.json"
    shutil.copytree(pushed.folder.with_name("remote"), tmp_path / "remote")
    bob.call("dvc", "remote", "modify", "--local", "team", "url", str(tmp_path / "remote"))
    stored = tmp_path / "remote" / pushed.cached(pushed.folder / first).relative_to(pushed.folder / CACHE)
    sound = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(sound.replace(b"{", b"[", 1))
    assert f"error: {first}: damaged on the remote" in bob.refused("python", "-m", "tools.report_inputs")
    stored.unlink()
    assert "not on the remote; who ran the study types `dvc push`" in bob.refused("python", "-m", "tools.report_inputs")
    assert not (bob.folder / first).exists()
    stored.write_bytes(sound)
    bob.call("python", "-m", "tools.report_inputs")
    assert (bob.folder / first).read_bytes() == sound


def without_torch(folder: Path) -> Path:
    """Return a folder whose `torch` no process can import."""
    (folder / "bare").mkdir()
    (folder / "bare/torch.py").write_text('raise ImportError("no torch here")\n')
    return folder / "bare"


def test_parts_of_the_study_come_alone(pushed: Checkout, tmp_path: Path) -> None:
    """Only the shards, or only metrics and report: one command each."""
    bob = pushed.clone(tmp_path / "bob")
    bob.call("dvc", "pull", "pair")
    assert sorted(path.name for path in (bob.folder / "data").iterdir()) == ["shards"]
    bob.call("dvc", "pull", "evaluate", "perturb", "report")
    assert sorted(path.name for path in (bob.folder / "data").iterdir()) == [
        "evaluations", "perturbations", "report", "shards",
    ]  # fmt: skip


class Tried(NamedTuple):
    """A variant that a member tried and shared, by its name and with the run cache."""

    ann: Checkout
    planned: str
    """What `plan` said before."""
    output: str
    """What `dvc exp run` printed."""


@pytest.fixture(scope="module")
def tried(pushed: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """Return the checkout of another member who has tried and pushed a variant; tests clone it."""
    folder = tmp_path_factory.mktemp("tried")
    ann = pushed.twin(folder / "ann")
    ann.call("git", "clone", "-q", "--bare", ".", str(folder / "hub.git"))
    ann.call("git", "remote", "set-url", "origin", str(folder / "hub.git"))
    planned = ann.call(*PLAN)
    output = ann.call("dvc", "exp", "run", "-n", "no-sauce", *VARIANT)
    ann.call("dvc", "exp", "push", "origin", "no-sauce")
    ann.call("dvc", "push", "--run-cache")
    return Tried(ann, planned, output)


def test_a_variant_runs_its_own_stages_only(tried: Tried) -> None:
    """`dvc exp run` trains, evaluates, perturbs and explains one new run, then collects, as `plan` said before."""
    output = tried.output
    own = [f"{stage}@{RUN}" for stage in ("train", "evaluate", "perturb", "explain")]
    assert sorted(ran(output)) == sorted([*COLLECTORS, "distill@none", *own])
    assert tried.planned.startswith(f"{len(ran(output))} of ")
    assert f"train {RUN}: has not run yet" in tried.planned
    places = re.findall(rf"\[(\d+)/(\d+)\] (?:train {re.escape(RUN)}|report): ", output)
    assert len(places) == 2, "the line that says where the study stands"
    assert places[-1][0] == places[-1][1], "the report is the last stage"
    assert json.loads((tried.ann.folder / "results/variant.json").read_text())["run"] == RUN


def test_a_variant_that_ran_comes_from_the_cache(tried: Tried, tmp_path: Path) -> None:
    """As `plan` says of the second time, in a checkout where all is as before the first."""
    copy = tried.ann.clone_with_cache(tmp_path / "copy")
    copy.call("dvc", "checkout", "-q")
    assert re.match(r"3 of \d+ stages to run; 7 from DVC's cache", copy.call(*PLAN))


def test_a_variant_of_somebody_else_is_never_run_again(tried: Tried, tmp_path: Path) -> None:
    """Ann's experiment reaches Bob by the run cache: the same `dvc exp run` trains nothing on his machine."""
    bob = tried.ann.clone(tmp_path / "bob")
    bob.call("dvc", "pull", "--run-cache")
    output = bob.call("dvc", "exp", "run", "--pull", *VARIANT)
    assert ran(output) == ["configure", "summary"], "which writes the files of git, in a second"


def test_an_experiment_travels_by_name(tried: Tried, tmp_path: Path) -> None:
    """`dvc exp push` and `dvc exp pull` bring one experiment with its parameters and data."""
    ann, bob = tried.ann, tried.ann.clone(tmp_path / "bob")
    bob.call("git", "remote", "set-url", "origin", str(ann.folder.with_name("hub.git")))
    bob.call("dvc", "exp", "pull", "origin", "no-sauce")
    bob.call("dvc", "exp", "apply", "no-sauce")
    assert (bob.folder / "results/variant.json").read_text() == (ann.folder / "results/variant.json").read_text()
    bob.call("dvc", "pull", "report")
    assert (bob.folder / REPORT).read_bytes() == (ann.folder / REPORT).read_bytes()
