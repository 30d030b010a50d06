"""One small demo data set, written once for all tests of the demo."""

from pathlib import Path

import pytest

from pipeline.demo.dataset import write_demo
from pipeline.params.stages import DemoParams


@pytest.fixture(scope="session")
def demo_params() -> DemoParams:
    """Return one round of photos a split: enough for every category to occur in both."""
    return DemoParams(train_photos=8, test_photos=8, seed=5)


@pytest.fixture(scope="session")
def demo_folder(demo_params: DemoParams, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds `FoodSeg103`."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(demo_params, folder, workers=1)
    return folder
