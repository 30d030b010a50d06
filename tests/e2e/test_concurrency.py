"""Several processes on one checkout, one cache, one set of unfinished work: refused or done, never torn."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.checkout import CACHE, Checkout, ran
from tools.mend_cache import damaged

pytestmark = pytest.mark.e2e
TARGET = "pair@annotation"
BUSY = ("is busy, it is being blocked by", "Unable to acquire lock", "another process is at work here")
"""What the later of two may be told."""


def start(copy: Checkout, *command: str) -> "subprocess.Popen[str]":
    """Start a command and do not wait for it."""
    return subprocess.Popen(  # noqa: S603
        command, cwd=copy.folder, env=copy.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def at_once(*started: "subprocess.Popen[str]") -> list[tuple[int, str]]:
    """Wait for commands that run at once; return status and output of each."""
    outputs = [process.communicate()[0] for process in started]
    return [(process.returncode, output) for process, output in zip(started, outputs, strict=True)]


def data_stages(lock: dict[str, Any]) -> dict[str, Any]:
    """Return the recorded hashes of the stages up to the shards."""
    return {
        name: outs
        for name, outs in lock.items()
        if name.partition("@")[0] in {"configure", "download", "index", "segment", "pair"}
    }


def sound(cache: Path) -> bool:
    """Tell whether a cache has objects, and all of them hash to their names."""
    objects = cache / "files/md5"
    return any(objects.glob("??/*")) and not list(damaged(objects))


def test_two_experiments_at_once_end_like_one_after_the_other(study: Checkout, tmp_path: Path) -> None:
    """They share the checkout's cache and its folder of unfinished work; DVC sets one up after the other."""
    copy = study.twin(tmp_path / "copy")
    fills = {"dark": "10", "gray": "90"}
    run = ("dvc", "--wait-for-lock", "exp", "run", "--temp", TARGET)
    results = at_once(*(start(copy, *run, "--name", name, "-S", f"pair.fill={fill}") for name, fill in fills.items()))
    assert [status for status, _ in results] == [0, 0], results
    assert sound(copy.folder / CACHE)
    params = copy.folder / "params.yaml"
    for name in fills:
        params.write_text(copy.shown(name, "params.yaml"))
        assert ran(copy.call("dvc", "repro", "--no-run-cache", TARGET)) == ["configure", TARGET]
        assert (copy.folder / "dvc.lock").read_text() == copy.shown(name, "dvc.lock")


def test_a_checkout_and_a_cache_are_shared_by_repros_at_once(study: Checkout, tmp_path: Path) -> None:
    """Two in one checkout, of which one may be refused by name, and one in a clone, as in a team on one machine.

    The clone has another path, worker count and environment. What is recorded in the end is what one alone records.
    """
    ann, bob = study.clone(tmp_path / "ann"), study.clone(tmp_path / "elsewhere é")
    bob.env.update({"TZ": "Asia/Seoul", "LANG": "C", "LC_ALL": "C", "PYTHONHASHSEED": "7"})
    params = bob.folder / "params.yaml"
    params.write_text(params.read_text().replace("workers: 1 ", "workers: 2 "))
    for clone in (ann, bob):
        clone.call("dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    alone = ("dvc", "repro", "--no-run-cache", TARGET)  # takes nothing from the other's runs
    *of_ann, (status, output) = at_once(*(start(clone, *alone) for clone in (ann, ann, bob)))
    assert status == 0, output
    assert "segment@annotation" in ran(output)
    assert any(status == 0 for status, _ in of_ann), of_ann
    for status, output in of_ann:
        assert status == 0 or any(sign in output for sign in BUSY), output
    for clone in (ann, bob):
        assert ran(clone.call("dvc", "repro", TARGET)) == ["configure"]
        assert data_stages(clone.lock()) == data_stages(study.lock())
    assert sound(tmp_path / "cache")
