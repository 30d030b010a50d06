"""Unfinished work survives a failure, is never taken up by other parameters, and belongs to one process."""

from pathlib import Path

import pytest

from pipeline.errors import BusyError
from pipeline.workspace import publish, unfinished


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty checkout."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
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


def test_publishing_replaces_what_was_there(tmp_path: Path) -> None:
    """The destination holds the new folder's files only."""
    for name in ("new", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    publish(tmp_path / "new", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
