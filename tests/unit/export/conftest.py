"""Runs and shards to export."""

from pathlib import Path

import pytest

from pipeline.datasets.sample_batch import VIEW_NAMES
from pipeline.inference.predictor import Run, open_run
from pipeline.params.run_name import FUSIONS
from tests.small_run import PAD, random_batch, select, write_small_run
from tests.training_data import write_shards_of


@pytest.fixture(scope="session", params=["extra_roi", "roi+extra_roi", "shared", "mask_pool", "mask_channel"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return an untrained run of one branch, not the first, of two, of two that share weights, of either fusion."""
    kind, folder = request.param, tmp_path_factory.mktemp("run") / "run"
    if kind in FUSIONS:
        return open_run(write_small_run(folder, ("photo",), fusion=kind), device="cpu")
    branches = VIEW_NAMES if kind == "shared" else kind.split("+")
    return open_run(write_small_run(folder, branches, shared=kind == "shared"), device="cpu")


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return shards of 7 training samples in two files and 5 test samples in one."""
    train, test = random_batch(7, seed=1), random_batch(5, seed=2)
    assert PAD == 125
    files = {"train": [select(train, range(4)), select(train, range(4, 7))], "test": [test]}
    return write_shards_of(tmp_path_factory.mktemp("data") / "shards", files)
