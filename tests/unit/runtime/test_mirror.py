"""Outputs copied to object storage and read there by the stages of runs, held to `dvc.lock`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from dvc_data.hashfile.tree import Tree
from ruamel.yaml import YAML
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.datasets.shards import Shards
from pipeline.params.model import ClassSetParams
from pipeline.params.run_name import RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.errors import ManifestError, ParamsError, SourceError
from pipeline.runtime.stores import Place, RemoteFolder, list_of, local_or_mirror, md5_of, md5_of_list
from pipeline.steps.evaluate import evaluate
from pipeline.steps.mirror import mirror_outputs
from pipeline.steps.train import train
from tests.mirrors import bucket_served, change
from tests.small_run import TRAIN
from tests.training_data import write_workplace
from tests.unit.demo.test_dataset import contents

SHARDS = Path("data/shards/annotation")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Serve S3 and return the URL of a bucket."""
    with bucket_served() as url:
        yield url


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a checkout with shards that `dvc.lock` names, and backbones."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_workplace(tmp_path)
    SHARDS.parent.mkdir(parents=True)
    (tmp_path / "shards").rename(SHARDS)
    record()
    return tmp_path


def record() -> None:
    """Write `dvc.lock` as DVC would for the shards that are here."""
    md5 = md5_of_list(list_of({path.name: md5_of(path) for path in SHARDS.iterdir()}))
    outs = [{"path": SHARDS.as_posix(), "hash": "md5", "md5": md5}]
    YAML().dump({"schema": "2.0", "stages": {"pair@annotation": {"outs": outs}}}, Path("dvc.lock"))


def removed(url: str, *names: str) -> None:
    """Remove stored files."""
    store, path = fsspec.core.url_to_fs(url)
    for name in names:
        store.rm_file(f"{path}/{name}")


def test_a_list_is_dvcs_to_the_byte() -> None:
    """Else its hash would not be what `dvc.lock` says."""
    md5s = {"b/ä.png": "0" * 32, "a.png": "1" * 32, "b.png": "2" * 32}
    theirs = Tree.from_list([{"relpath": path, "md5": md5} for path, md5 in md5s.items()], hash_name="md5")
    theirs.digest()
    assert list_of(md5s) == theirs.as_bytes()
    assert md5_of_list(list_of(md5s)) == theirs.hash_info.value


def test_what_is_there_is_not_sent_again(study: Path, bucket: str) -> None:
    """Nothing of a whole copy; of a copy that was interrupted or changed, what is missing or another one."""
    url = f"{bucket}/{study.name}"
    assert mirror_outputs(url) == {SHARDS.as_posix(): 4}
    assert mirror_outputs(url) == {SHARDS.as_posix(): 0}
    removed(f"{url}/data/shards", "annotation.dir", "annotation/test-00000.parquet")
    with pytest.raises(SourceError, match=rf"^{url}/{SHARDS}: is not there as a whole; run `python"):
        away(url)
    assert mirror_outputs(url) == {SHARDS.as_posix(): 1}
    removed(f"{url}/data/shards", "annotation/manifest.json")
    assert mirror_outputs(url) == {SHARDS.as_posix(): 1}


def away(url: str) -> Place:
    """Find the shards as a machine does that has none."""
    SHARDS.rename("kept")
    try:
        return local_or_mirror(SHARDS, url)
    finally:
        Path("kept").rename(SHARDS)


def trained(shards: Place, output: str) -> dict[str, bytes]:
    """Train a run of two branches on shards and judge it on them; return the bytes of both."""
    train(
        TRAIN,
        run=RunName("tiny", "tiny", "all"),
        class_set=ClassSetParams(exclude=(), ambiguous=("ketchup", "chili paste")),
        shards=shards,
        weights=Path("weights"),
        output=Path(output),
        runtime=RuntimeParams(workers=1, device="cpu"),
    )
    judging = EvaluateParams(batch_size=4, threads=1, ece_bins=15, top_confusions=20)
    evaluate(judging, shards=shards, run=Path(output), output=Path(output), device="cpu")
    return contents(Path(output))


@pytest.mark.usefixtures("study")
def test_a_run_trained_and_judged_on_a_mirror_is_that_of_the_shards_here(bucket: str) -> None:
    """To the last byte, on a machine that has no shards."""
    mirror_outputs(f"{bucket}/to-train")
    here = local_or_mirror(SHARDS, f"{bucket}/to-train")
    assert here == SHARDS
    expected = trained(here, "here")
    shutil.rmtree("data")
    there = local_or_mirror(SHARDS, f"{bucket}/to-train")
    assert there == RemoteFolder(f"{bucket}/to-train/data/shards/annotation")
    assert trained(there, "there") == expected


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("name", ["manifest.json", "train-00000.parquet"])
def test_a_file_that_the_commit_does_not_name_is_refused(name: str) -> None:
    """The manifest too, which nothing else holds to anything."""
    mirror_outputs("memory://tampered")
    change(f"memory://tampered/{SHARDS}/{name}", (SHARDS / name).read_bytes() + b" ")
    with pytest.raises(SourceError, match=rf"^memory://tampered/{SHARDS}/{name}: bytes differ from dvc.lock; run `py"):
        Shards(away("memory://tampered")).read("train")


@pytest.mark.usefixtures("study")
def test_a_mirror_of_another_commit_is_refused() -> None:
    """One line says whose turn it is."""
    mirror_outputs("memory://older")
    (SHARDS / "manifest.json").write_bytes((SHARDS / "manifest.json").read_bytes() + b" ")
    with pytest.raises(ManifestError, match=f"^{SHARDS}: differs from dvc.lock; run `dvc repro`"):
        mirror_outputs("memory://older")
    record()
    with pytest.raises(SourceError, match=rf"^memory://older/{SHARDS}: is another one than dvc.lock names; run `pyt"):
        away("memory://older")
    assert mirror_outputs("memory://older") == {SHARDS.as_posix(): 4}  # this store tells no hashes
    assert len(Shards(away("memory://older")).read("train")) == 13


@pytest.mark.usefixtures("study")
def test_what_cannot_be_copied_is_one_line(bucket: str) -> None:
    """No bucket, nothing that was asked for, no record, no URL."""
    with pytest.raises(SourceError, match=rf"^{bucket}-absent/{SHARDS}: .*check the URL"):
        mirror_outputs(f"{bucket}-absent")
    with pytest.raises(SourceError, match="^nothing to copy: no output below data/sha is both in dvc.lock and here$"):
        mirror_outputs("memory://none", ["data/sha"])
    Path("params.yaml").write_text("runtime: {workers: 0, device: auto}\n", encoding="utf-8")
    assert isinstance(CliRunner().invoke(app, ["mirror"]).exception, ParamsError)
    Path("dvc.lock").unlink()
    with pytest.raises(SourceError, match=r"^dvc.lock: absent or damaged; take it from git"):
        mirror_outputs("memory://none")


@pytest.mark.usefixtures("study")
def test_the_command_copies_to_where_params_say() -> None:
    """And counts what it sent."""
    Path("params.yaml").write_text("runtime: {workers: 0, device: auto, mirror: memory://said}\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["mirror", "--only", "data/shards"]).stdout == f"{SHARDS}: 4 files sent\n"
