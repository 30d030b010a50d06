"""Unfinished work survives a failure, is never taken up by other parameters, and belongs to one process."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.errors import BusyError
from pipeline.runtime.resumable import DONE, file_lock, publish, resumable_dir, stage_lock

pytestmark = pytest.mark.slow

HOLD = """
import sys, time
from pathlib import Path
from pipeline.runtime.resumable import file_lock
with file_lock(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty checkout, outside of DVC."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("DVC_STAGE", raising=False)
    return tmp_path


def test_partial_work_survives_a_failure_and_goes_when_done() -> None:
    """What was written before the failure is there again; success cleans up."""
    with pytest.raises(RuntimeError), resumable_dir("pair", "a") as folder:
        (folder / "part").write_text("half")
        raise RuntimeError
    with resumable_dir("pair", "a") as folder:
        assert (folder / "part").read_text() == "half"
    assert not folder.exists()


def test_other_parameters_start_afresh() -> None:
    """Another identity never sees the partial work."""
    with pytest.raises(RuntimeError), resumable_dir("pair", "a") as folder:
        (folder / "part").write_text("half")
        raise RuntimeError
    with resumable_dir("pair", "b") as other:
        assert not list(other.iterdir())


def test_a_second_process_is_refused() -> None:
    """Two writers of one result cannot meet."""
    with resumable_dir("pair", "a"), pytest.raises(BusyError, match="another process"), resumable_dir("pair", "a"):
        pass


def finish(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Finish work under DVC and return its folder."""
    monkeypatch.setenv("DVC_STAGE", "pair@annotation")
    with resumable_dir("pair", "a") as folder:
        (folder / "shard").write_text("pixels")
    return folder


def test_finished_work_outlives_a_kill_until_dvc_has_recorded_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the stage's end and DVC's record, the next run finds what was finished; after the record, not."""
    monkeypatch.chdir(checkout)
    folder = finish(monkeypatch)
    with resumable_dir("pair", "a") as again:
        assert (again / "shard").read_text() == "pixels"
    (checkout / "dvc.lock").touch()
    os.utime(folder / DONE, ns=(0, 0))
    with resumable_dir("segment", "other"):
        assert not folder.exists()


def test_finished_work_that_dvc_recorded_is_never_taken_up(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dvc repro --force` computes."""
    monkeypatch.chdir(checkout)
    folder = finish(monkeypatch)
    (checkout / "dvc.lock").touch()
    os.utime(folder / DONE, ns=(0, 0))
    with resumable_dir("pair", "a") as again:
        assert not list(again.iterdir())


def test_finished_work_that_no_record_has_outlives_the_next_run_of_configure(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`configure` comes first whenever DVC runs, and its own record is newer than what a killed DVC left unrecorded."""
    monkeypatch.chdir(checkout)
    finish(monkeypatch)
    monkeypatch.setenv("DVC_STAGE", "configure")
    with stage_lock():
        pass
    (checkout / "dvc.lock").touch()
    monkeypatch.setenv("DVC_STAGE", "pair@annotation")
    with stage_lock(), resumable_dir("pair", "a") as again:
        assert (again / "shard").read_text() == "pixels"


@pytest.fixture
def sources(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a checkout of two modules, of which `configure` lists one for stage `pair` and none for `segment`."""
    monkeypatch.chdir(checkout)
    monkeypatch.setattr("pipeline.runtime.resumable.ROOT", checkout)
    package = checkout / "pipeline"
    package.mkdir()
    for name in ("late", "other"):
        (package / f"{name}.py").write_text("a = 1\n")
    (checkout / "data/code").mkdir(parents=True)
    (checkout / "data/code/pair.json").write_text(json.dumps({"pipeline/late.py": "0" * 64}))
    return package


@pytest.mark.parametrize(
    ("stage", "edited", "taken_up"),
    [("pair", "late", False), ("pair", "other", True), ("segment", "late", False), ("segment", "other", False)],
)
def test_work_of_other_code_is_never_taken_up(sources: Path, stage: str, edited: str, *, taken_up: bool) -> None:
    """Nothing of these modules is imported: what counts is what the stage can import, or all where nobody listed it."""
    with pytest.raises(RuntimeError), resumable_dir(stage, "a") as folder:
        raise RuntimeError
    (sources / f"{edited}.py").write_text("a = 2\n")
    with resumable_dir(stage, "a") as other:
        assert (other == folder) is taken_up


def test_a_stage_of_dvc_is_run_by_one_process(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one is refused; another stage and a process outside of DVC are not."""
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("DVC_STAGE", "evaluate@vit+none-all")
    with stage_lock():
        with pytest.raises(BusyError, match="stage evaluate@vit"), stage_lock():
            pass
        monkeypatch.setenv("DVC_STAGE", "evaluate@none+vit-all")
        with stage_lock():
            pass
        monkeypatch.delenv("DVC_STAGE")
        with stage_lock():
            pass


def test_publishing_keeps_the_folder_and_shares_its_bytes(tmp_path: Path) -> None:
    """No second copy on the disk, and nothing is lost if the destination is wiped."""
    (tmp_path / "new/deep").mkdir(parents=True)
    (tmp_path / "new/deep/file").write_text("bytes")
    publish(tmp_path / "new", tmp_path / "out")
    assert (tmp_path / "out/deep/file").samefile(tmp_path / "new/deep/file")
    shutil.rmtree(tmp_path / "out")
    assert (tmp_path / "new/deep/file").read_text() == "bytes"


def test_publishing_copies_where_links_are_not_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As across file systems."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    (tmp_path / "new").mkdir()
    (tmp_path / "new/file").write_text("bytes")
    monkeypatch.setattr("os.link", refuse)
    publish(tmp_path / "new", tmp_path / "out")
    assert (tmp_path / "out/file").read_text() == "bytes"
    assert not (tmp_path / "out/file").samefile(tmp_path / "new/file")


def test_publishing_replaces_what_was_there(tmp_path: Path) -> None:
    """The destination holds the new folder's files only."""
    for name in ("new", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    publish(tmp_path / "new", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]


@pytest.fixture
def holder(tmp_path: Path, root: Path) -> "subprocess.Popen[str]":
    """Return a process that holds a lock."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a.lock")]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_process_in_the_way_is_named_with_what_stops_it(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """Whoever meets a lock learns whose it is; once that process is killed, however hard, the lock is free."""
    message = (
        rf"it: another process is at work here \({holder.pid} on .+\); wait for it, or stop it by `kill {holder.pid}`"
    )
    with pytest.raises(BusyError, match=message), file_lock(tmp_path / "a.lock", "it"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with file_lock(tmp_path / "a.lock", "it"):
        assert (tmp_path / "a.lock").read_text().split()[0] == str(os.getpid())


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    """And other locks never were taken."""
    with pytest.raises(ZeroDivisionError), file_lock(tmp_path / "a.lock", "it"), file_lock(tmp_path / "b.lock", "that"):
        raise ZeroDivisionError
    with file_lock(tmp_path / "a.lock", "it"):
        pass
