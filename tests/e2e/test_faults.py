"""A machine, a disk or a remote fails in the middle: what the user does next, and that nothing finished is lost."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from pipeline.runtime.resumable import DONE
from tests.e2e.checkout import CACHE, Checkout, ran
from tests.e2e.servers import HOST, PASSWORD, ssh_server
from tests.torture.disk import ROOMY, own_disk, resize

pytestmark = pytest.mark.e2e
RUN = "mobilenetv2+none-all"
LEFT = 600
"""Kilobytes that a full disk has left after the index: the shards do not fit."""


@pytest.fixture
def copy(study: Checkout, tmp_path: Path) -> Checkout:
    """Return a twin of the study."""
    return study.twin(tmp_path / "copy")


def replace(file: Path, old: str, new: str) -> None:
    """Edit a text file."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def kill_after(copy: Checkout, sign: str, *command: str) -> None:
    """Run a command and kill it with all its children, as a power cut would, once it prints `sign`."""
    with subprocess.Popen(  # noqa: S603
        command, cwd=copy.folder, env=copy.env, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        text = ""
        while sign not in text:
            read = process.stdout.read(1)
            assert read, f"ended without {sign!r}: {text[-2000:]}"
            text += read
        os.killpg(process.pid, signal.SIGKILL)


def test_a_killed_training_goes_on_from_its_last_epoch(copy: Checkout) -> None:
    """`dvc repro` again: dead locks clear themselves, finished epochs are not repeated, the hashes are the same."""
    replace(copy.folder / "params.yaml", "  epochs: 1", "  epochs: 4")
    target = f"train@{RUN}"
    kill_after(copy, "epoch 2/4", "dvc", "repro", target)
    assert json.loads((copy.folder / ".dvc/tmp/rwlock").read_text()), "the killed process left its locks"
    (unfinished,) = (copy.folder / ".unfinished").glob("train-*/checkpoint.pt")
    output = copy.call("dvc", "repro", target)
    assert ran(output) == ["configure", target]
    assert "epoch 1/4" not in output
    assert "epoch 4/4" in output
    assert unfinished.with_name(DONE).exists(), "left for the next stage to sweep, once DVC has recorded this one"
    resumed = copy.lock()[target]
    copy.call("dvc", "repro", "--force", "--single-item", "--no-run-cache", target)
    assert copy.lock()[target] == resumed


def test_a_push_cut_off_in_the_middle_is_completed_by_the_next(copy: Checkout, tmp_path: Path) -> None:
    """What arrived is whole and stays; the same command sends the rest, and only then can others pull."""
    store = tmp_path / "store"
    store.mkdir()
    with ssh_server(store, uploads=3) as port:
        copy.call("dvc", "remote", "add", "--default", "team", f"ssh://{HOST}/study")
        for name, value in {"port": str(port), "user": "team", "password": PASSWORD, "verify": "true"}.items():
            copy.call("dvc", "remote", "modify", "--local", "team", name, value)
        copy.refused("dvc", "push", "pair")
    arrived = {path.name: path.stat().st_mtime_ns for path in store.rglob("files/md5/*/*") if len(path.name) == 30}
    with ssh_server(store) as port:
        copy.call("dvc", "remote", "modify", "--local", "team", "port", str(port))
        copy.call("dvc", "push", "pair")
    now = {path.name: path.stat().st_mtime_ns for path in store.rglob("files/md5/*/*")}
    assert arrived.items() <= now.items()
    bob = copy.clone(tmp_path / "bob")
    bob.call("dvc", "remote", "add", "--default", "disk", str(store / "study"))
    bob.call("dvc", "pull", "pair")
    assert (bob.folder / "data/shards/annotation/manifest.json").is_file()


def damage(file: Path) -> None:
    """Put other bytes in the place of an object, in a new file: twins share the old one."""
    file.unlink()
    file.write_bytes(b"rotten")
    file.chmod(0o444)


def model_object(copy: Checkout) -> Path:
    """Return the cache's object of the model of `RUN`."""
    return copy.cached(copy.folder / f"data/runs/{RUN}/model.safetensors")


def test_a_damaged_object_of_the_cache_is_found_and_made_again(copy: Checkout) -> None:
    """`make mend` removes it, `dvc repro` runs the one stage that made it, with the same hash."""
    before = copy.lock()
    damage(model_object(copy))
    (copy.folder / f"data/runs/{RUN}/model.safetensors").unlink()
    copy.call("dvc", "checkout")
    assert (copy.folder / f"data/runs/{RUN}/model.safetensors").read_bytes() == b"rotten", "DVC trusts its cache"
    assert "1 damaged objects" in copy.call("python", "-m", "tools.mend_cache")
    assert ran(copy.call("dvc", "repro")) == ["configure", f"train@{RUN}"]
    assert copy.lock() == before
    assert "0 damaged objects" in copy.call("python", "-m", "tools.mend_cache")


def test_a_damaged_object_of_the_remote_is_not_taken(copy: Checkout, tmp_path: Path) -> None:
    """With `verify = true` the pull fails and names the output; once removed there, it can be pushed again."""
    store = tmp_path / "store"
    copy.call("dvc", "remote", "add", "--default", "team", str(store))
    copy.call("dvc", "remote", "modify", "team", "verify", "true")
    copy.commit()
    target = f"train@{RUN}"
    copy.call("dvc", "push", target)
    rotten = store / model_object(copy).relative_to(copy.folder / CACHE)
    damage(rotten)
    bob = copy.clone(tmp_path / "bob")
    assert f"data/runs/{RUN}" in bob.refused("dvc", "pull", target)
    rotten.unlink(missing_ok=True)
    listing = copy.lock()[target][0]["md5"]
    (store / "files/md5" / listing[:2] / listing[2:]).unlink()
    copy.call("dvc", "push", target)
    bob.call("dvc", "pull", target)
    assert (bob.folder / f"data/runs/{RUN}/model.safetensors").stat().st_size > len(b"rotten")


def test_a_full_disk_costs_only_the_stage_at_work(study: Checkout, tmp_path: Path) -> None:
    """`dvc repro` fails with the reason; with room again it goes on where it was, to the same hashes."""
    disk, target = tmp_path / "disk", "pair@annotation"
    with own_disk(disk):
        copy = study.clone(disk / "copy")
        copy.env["PYTHONDONTWRITEBYTECODE"] = "1"  # it would take what is left before a stage does
        finished = set(ran(copy.call("dvc", "repro", "index"))) - {"configure"}
        resize(disk, shutil.disk_usage(disk).used // 1024 + LEFT)
        assert re.search("free some space|make room|No space left", copy.refused("dvc", "repro", target))
        resize(disk, ROOMY)
        assert not finished & set(ran(copy.call("dvc", "repro", target)))
        assert copy.lock()[target] == study.lock()[target]
