"""Unfinished work survives a failure, is never taken up by other parameters, and belongs to one process."""

import errno
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.errors import BusyError
from pipeline.workspace import DONE, code_sha256, publish, stage_claimed, unfinished


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty checkout, outside of DVC."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("DVC_STAGE", raising=False)
    return tmp_path


def test_partial_work_survives_a_failure_and_goes_when_done() -> None:
    """What was written before the failure is there again; success cleans up."""
    with pytest.raises(RuntimeError), unfinished("pair", "a") as folder:
        (folder / "part").write_text("half")
        raise RuntimeError
    with unfinished("pair", "a") as folder:
        assert (folder / "part").read_text() == "half"
    assert not folder.exists()


def test_other_parameters_start_afresh() -> None:
    """Another identity never sees the partial work."""
    with pytest.raises(RuntimeError), unfinished("pair", "a") as folder:
        (folder / "part").write_text("half")
        raise RuntimeError
    with unfinished("pair", "b") as other:
        assert not list(other.iterdir())


def test_a_second_process_is_refused() -> None:
    """Two writers of one result cannot meet."""
    with unfinished("pair", "a"), pytest.raises(BusyError, match="another process"), unfinished("pair", "a"):
        pass


def finish(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Finish work under DVC and return its folder."""
    monkeypatch.setenv("DVC_STAGE", "pair@annotation")
    with unfinished("pair", "a") as folder:
        (folder / "shard").write_text("pixels")
    return folder


def test_finished_work_outlives_a_kill_until_dvc_has_recorded_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the stage's end and DVC's record, the next run finds what was finished; after the record, not."""
    monkeypatch.chdir(checkout)
    folder = finish(monkeypatch)
    with unfinished("pair", "a") as again:
        assert (again / "shard").read_text() == "pixels"
    (checkout / "dvc.lock").touch()
    os.utime(folder / DONE, ns=(0, 0))
    with unfinished("segment", "other"):
        assert not folder.exists()


def test_finished_work_that_dvc_recorded_is_never_taken_up(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dvc repro --force` computes."""
    monkeypatch.chdir(checkout)
    folder = finish(monkeypatch)
    (checkout / "dvc.lock").touch()
    os.utime(folder / DONE, ns=(0, 0))
    with unfinished("pair", "a") as again:
        assert not list(again.iterdir())


def test_work_of_other_code_is_never_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of the code between a kill and the next run changes the result, so nothing may be left of the old one."""
    with pytest.raises(RuntimeError), unfinished("pair", "a") as folder:
        raise RuntimeError
    monkeypatch.setattr("pipeline.workspace.code_sha256", lambda: "other code")
    with unfinished("pair", "a") as other:
        assert other != folder


def test_the_hash_of_the_code_follows_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any module of this project that is loaded counts."""
    file = tmp_path / "extra.py"
    module = ModuleType("pipeline.extra")
    module.__file__ = str(file)
    hashes = {code_sha256()}
    monkeypatch.setitem(sys.modules, "pipeline.extra", module)
    for text in ("a = 1", "a = 2"):
        file.write_text(text)
        hashes.add(code_sha256())
    assert len(hashes) == 3


def test_a_stage_of_dvc_is_run_by_one_process(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one is refused; another stage and a process outside of DVC are not."""
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("DVC_STAGE", "evaluate@vit+none-all")
    with stage_claimed():
        with pytest.raises(BusyError, match="stage evaluate@vit"), stage_claimed():
            pass
        monkeypatch.setenv("DVC_STAGE", "evaluate@none+vit-all")
        with stage_claimed():
            pass
        monkeypatch.delenv("DVC_STAGE")
        with stage_claimed():
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
