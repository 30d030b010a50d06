"""A COCO data set goes through the graph like FoodSeg103: from the user's folder to a report."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.datasets.index import read_samples
from tests.coco_folder import CocoFolder, box_mask, polygon, rle
from tests.e2e.checkout import Checkout, checkout, keep_runs

pytestmark = pytest.mark.e2e
RUN = "vit+vit-all"


def with_demo_values(values: Any) -> Any:
    """Return parameters with the choices of the demo, whose backbones need no weights, for any data set."""
    if not isinstance(values, dict):
        return values
    if "default" in values:
        return with_demo_values(values.get("demo", values["default"]))
    return {name: with_demo_values(value) for name, value in values.items()}


@pytest.fixture
def copy(tmp_path: Path) -> Checkout:
    """Return a checkout whose data set is a Roboflow export of twelve photos with overlapping objects."""
    coco = CocoFolder(tmp_path / "my meals", {0: "bread", 3: "rice", 300: "sauce"})
    for number in range(12):
        split = "valid" if number % 3 == 2 else "train"
        rice = rle(box_mask(20, 8, 30, 25, (48, 64)), compressed=number % 2 == 0)
        objects = ((0, polygon(4, 4, 30, 20)), (3, rice), (300, polygon(40, 30, 12, 9)))
        coco.add(f"{split}/_annotations.coco.json", f"{number}.png", *objects, size=(48, 64))
    coco.write()
    one = checkout(tmp_path / "copy")
    keep_runs(one.folder, {RUN})
    yaml, params = YAML(), one.folder / "params.yaml"
    download = yaml.load(params)["download"] | {"source": None}
    values = with_demo_values(yaml.load(params)) | {"dataset": str(coco.path), "download": download}
    values["index"]["validation"] = 0.0
    yaml.dump(values, params)
    return one


def test_a_coco_folder_becomes_a_report(copy: Checkout) -> None:
    """One run of the grid, and the report of what there is."""
    copy.call("dvc", "repro", *(f"{stage}@{RUN}" for stage in ("evaluate", "perturb", "explain")))
    samples = list(read_samples(copy.folder / "data/index/samples.parquet"))
    assert len(samples) == 36
    assert sum(sample.split == "test" for sample in samples) == 12
    card = json.loads((copy.folder / "data/index/summary.json").read_text())["data_card"]
    assert any("val is the test split" in sentence for sentence in card)
    copy.call("python", "-m", "pipeline", "report", "--out", "meals")
    page = (copy.folder / "meals/index.html").read_text()
    assert all(text in page for text in ("my meals", "val is the test split", "sauce"))
