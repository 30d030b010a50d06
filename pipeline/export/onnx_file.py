"""A run as ONNX: for onnxruntime and whatever else reads it, without PyTorch."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.arrays import Images, Logits
from pipeline.errors import ExportError
from pipeline.export.classifier import (
    Classifier,
    channels_first,
    check_equality,
    describe,
    finished,
    random_views,
    tensors,
)
from pipeline.prediction.run import Run

OPSET = 20
"""Version of ONNX's operators; onnxruntime 1.17 (2024) and later run it."""
NEEDED = ("onnx", "onnxscript", "onnxruntime")


def write_onnx(run: Run, path: Path) -> float:
    """Write one .onnx file with a free batch size; return its largest difference from the run.

    Inputs are the views that the run looks at, `roi` and `extra_roi`, uint8 (batch, 3, S, S) in [0, 255]; the output is
    `logits`, float32 (batch, K). What else a program must know is in the file's metadata.

    Args:
        run: On the CPU.
        path: File to write.

    Raises:
        ExportError: If a package is absent, PyTorch cannot export the model, or the file gives other logits.
    """
    _require()
    names = run.branches
    batch = torch.export.Dim("batch", min=1)
    try:
        with warnings.catch_warnings(action="ignore"):  # of the exporter, about itself
            program: Any = torch.onnx.export(
                Classifier(run.model, names).eval(),
                tensors(random_views(run, 2)),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(names),
                output_names=["logits"],
                dynamic_shapes=(tuple({0: batch} for _ in names),),
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(f"run {run.name}: PyTorch cannot write it as ONNX ({_first_line(error)})") from error
    program.model.metadata_props.update(describe(run))
    with finished(path) as unfinished:
        with warnings.catch_warnings(action="ignore"):
            program.save(unfinished)
        return check_equality(run, OnnxFile(unfinished), str(path))


class OnnxFile:
    """An .onnx file under onnxruntime."""

    def __init__(self, path: Path) -> None:
        """Load a file onto the CPU."""
        import onnxruntime  # noqa: PLC0415 - needed for this format alone

        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def __call__(self, views: Sequence[Images]) -> Logits:
        """Return logits of views, in the order of the file's inputs."""
        inputs = [entry.name for entry in self.session.get_inputs()]
        (logits,) = self.session.run(["logits"], dict(zip(inputs, channels_first(views), strict=True)))
        return np.asarray(logits)


def _require() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ExportError(f"--format onnx needs {', '.join(missing)}; run `pip install -r requirements.txt`")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
