"""The whole graph on a small demo, run once for all end-to-end tests."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.checkout import Checkout, checkout, environment
from tests.guarded import guarded, without_network


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a checkout in which the whole graph has run; make a `twin` or `clone` before changing anything.

    Test processes share it: the first one that asks runs the graph, the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    shelf = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = shelf / "study", shelf / "study.done"
    with (shelf / "study.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            done.write_text(_whole_graph(folder), encoding="utf-8")
    return Checkout(folder, environment(folder))


def _whole_graph(folder: Path) -> str:
    """Run it under guard, and without any network where this user may do that: no stage of the demo needs one."""
    copy = checkout(folder)
    under_guard = Checkout(folder, copy.env | guarded(folder.with_name("study.network")))
    output = under_guard.call(*without_network(), "dvc", "repro")
    copy.commit()
    return output
