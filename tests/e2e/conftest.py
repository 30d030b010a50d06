"""A small study, and one to which runs have come, each made once for all end-to-end tests."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.checkout import MORE_RUNS, RUNS, Checkout, checkout, environment, keep_runs, put_runs_back, repro_offline


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a checkout in which a graph of few runs has run; make a `twin` or `clone` before changing anything."""

    def make(folder: Path) -> Checkout:
        copy = checkout(folder)
        keep_runs(folder, RUNS)
        copy.commit()
        return copy

    return _made_once("study", tmp_path_factory, make)


@pytest.fixture(scope="session")
def grown(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a checkout in which the graph of the study has grown by `MORE_RUNS`; likewise."""

    def make(folder: Path) -> Checkout:
        copy = study.twin(folder)
        put_runs_back(folder)
        keep_runs(folder, RUNS | MORE_RUNS)
        copy.commit()
        return copy

    return _made_once("grown", tmp_path_factory, make)


def _made_once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], Checkout]) -> Checkout:
    """Make a checkout and run its graph, unless another test process has; `NAME.done` beside it has what that printed.

    Test processes share it: the first one that asks makes it, the others wait for it.
    """
    base = factory.getbasetemp()
    shelf = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = shelf / name, shelf / f"{name}.done"
    with (shelf / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            copy = make(folder)
            output = repro_offline(copy)
            copy.commit()
            done.write_text(output, encoding="utf-8")
    return Checkout(folder, environment(folder))
