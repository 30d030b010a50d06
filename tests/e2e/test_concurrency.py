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


def test_two_repros_in_one_checkout_do_not_tear_each_other(study: Checkout, tmp_path: Path) -> None:
    """One of them may be refused by name; what is recorded in the end is what one alone records."""
    copy = study.clone(tmp_path / "copy")
    results = at_once(*(start(copy, "dvc", "repro", TARGET) for _ in range(2)))
    assert any(status == 0 for status, _ in results), results
    for status, output in results:
        assert status == 0 or any(sign in output for sign in BUSY), output
    copy.call("dvc", "repro", TARGET)
    assert data_stages(copy.lock()) == data_stages(study.lock())
    assert sound(copy.folder / CACHE)


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


def test_two_clones_fill_one_cache_with_the_same_bytes_wherever_they_are(study: Checkout, tmp_path: Path) -> None:
    """As members of a team on one machine do, at the same moment; one by another path, worker count and environment."""
    ann, bob = study.clone(tmp_path / "ann"), study.clone(tmp_path / "elsewhere é")
    bob.env.update({"TZ": "Asia/Seoul", "LANG": "C", "LC_ALL": "C", "PYTHONHASHSEED": "7"})
    params = bob.folder / "params.yaml"
    params.write_text(params.read_text().replace("workers: 1 ", "workers: 2 "))
    for clone in (ann, bob):
        clone.call("dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    alone = ("dvc", "repro", "--no-run-cache", TARGET)  # takes nothing from the other's runs
    results = at_once(*(start(clone, *alone) for clone in (ann, bob)))
    assert [status for status, _ in results] == [0, 0], results
    for (_, output), clone in zip(results, (ann, bob), strict=True):
        assert "segment@annotation" in ran(output)
        assert data_stages(clone.lock()) == data_stages(study.lock())
        assert ran(clone.call("dvc", "repro", TARGET)) == ["configure"]
    assert sound(tmp_path / "cache")
