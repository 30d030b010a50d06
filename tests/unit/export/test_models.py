"""Runs as ONNX and as exported programs: they say what the run says, for any number of samples."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.arrays import Logits
from pipeline.datasets.sample_batch import INPUT_NAMES
from pipeline.evaluation.session import predict_logits
from pipeline.export import models as onnx_file
from pipeline.export.models import (
    OPSET,
    TOLERANCE,
    check_equality,
    load_exported_program,
    load_onnx,
    random_views,
    write_exported_program,
    write_onnx,
)
from pipeline.inference.predictor import Run, open_run
from pipeline.runtime.errors import ExportError
from tests.small_run import random_batch, write_small_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def onnx_export(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run's ONNX file, alone in its folder; exporting takes most of the time here."""
    path = tmp_path_factory.mktemp("onnx") / "run.onnx"
    assert write_onnx(run, path) <= TOLERANCE
    return path


def assert_says_the_same(run: Run, path: Path, exported: Callable[[list[np.ndarray]], Logits]) -> None:
    """Compare a file with its run on pictures that the export never saw, in batches of other sizes than it traced."""
    batch = random_batch(9, seed=3)
    views = [getattr(batch, name) for name in run.branches]
    expected = predict_logits(run.model, batch, run.device)
    for rows in (slice(0, 1), slice(0, 9), slice(3, 7)):
        np.testing.assert_allclose(exported([view[rows] for view in views]), expected[rows], atol=TOLERANCE)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_gives_the_run_s_logits(run: Run, onnx_export: Path) -> None:
    """Within the tolerance, and nothing else is written."""
    assert_says_the_same(run, onnx_export, load_onnx(onnx_export))


@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_gives_the_run_s_logits(run: Run, tmp_path: Path) -> None:
    """Within the tolerance, and nothing else is written."""
    path = tmp_path / "run.pt2"
    assert write_exported_program(run, path) <= TOLERANCE
    assert_says_the_same(run, path, load_exported_program(path))


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_says_how_it_is_used(run: Run, onnx_export: Path) -> None:
    """Names and order of inputs, opset, class names, preprocessing and temperature; and it is valid ONNX."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_export)
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts["class_names"]) == list(run.class_names)
    assert json.loads(facts["preprocessing"])["pad"] == 125
    assert float(facts["temperature"]) == run.temperature
    assert [entry.name for entry in model.graph.input] == list(run.branches)
    assert {entry.version for entry in model.opset_import if not entry.domain} == {OPSET}
    batch, *rest = model.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param
    channels = 4 if run.branches == ("photo",) else 3
    assert [dim.dim_value for dim in rest] == [channels, run.card.image_size, run.card.image_size]


def test_an_export_that_says_something_else_is_refused(run: Run) -> None:
    """Even if only one sample of a larger batch differs, by a little more than allowed, or is no number."""
    for wrong in (3 * TOLERANCE, np.nan):

        def broken(views: list[np.ndarray], wrong: float = wrong) -> Logits:
            logits = np.array(run.model(*_inputs(run, views)).detach(), np.float32)
            if len(logits) > 2:
                logits[-1, 0] += wrong * max(1, np.abs(logits).max())
            return logits

        with pytest.raises(ExportError, match="logits differ from run"):
            check_equality(run, broken, "file")


def _inputs(run: Run, views: list[np.ndarray]) -> list[torch.Tensor | None]:
    given = dict(zip(run.branches, (torch.from_numpy(view.transpose(0, 3, 1, 2)) for view in views), strict=True))
    return [given.get(name) for name in INPUT_NAMES]


def test_the_samples_compared_are_all_different(run: Run) -> None:
    """Otherwise a model that mixes samples would pass."""
    for view in random_views(run, 5):
        assert len(np.unique(view.reshape(5, -1), axis=0)) == 5


@pytest.mark.filterwarnings("ignore")
def test_a_refused_export_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it destroy the one that was there."""
    run = open_run(write_small_run(tmp_path / "run", ("roi",)), device="cpu")
    path = tmp_path / "out" / "run.onnx"
    path.parent.mkdir()
    path.write_bytes(b"good")
    monkeypatch.setattr(onnx_file, "load_onnx", lambda _: lambda views: np.full((len(views[0]), 4), 7, np.float32))
    with pytest.raises(ExportError, match="logits differ"):
        write_onnx(run, path)
    assert [(file.name, file.read_bytes()) for file in path.parent.iterdir()] == [("run.onnx", b"good")]


def test_absent_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs them."""
    run = open_run(write_small_run(tmp_path / "run", ("roi",)), device="cpu")
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ExportError, match=r"needs onnxscript; run `make install WITHOUT=`"):
        write_onnx(run, tmp_path / "run.onnx")
