"""A run as other programs hold it: pictures in, logits out, and the proof that it says the same."""

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pipeline.arrays import Images, Logits
from pipeline.datasets.sample_batch import ViewName
from pipeline.inference.predictor import Run
from pipeline.models.rvernet import RveRNet
from pipeline.runtime.errors import ExportError

TOLERANCE = 1e-4
"""Largest difference of a logit, in units of the logit or of the largest logit where that is more than 1."""
BATCHES = (1, 2, 5)
"""Batch sizes that are compared; the model is traced with two samples."""
SEED = 0

PredictLogits: TypeAlias = Callable[[Sequence[Images]], Logits]
"""Anything that returns logits of the views a run looks at, in the order of `Run.branches`."""


class Classifier(nn.Module):
    """A run whose inputs are only the views that it looks at."""

    def __init__(self, model: RveRNet, names: tuple[ViewName, ...]) -> None:
        """Wrap a model; `names` are the branches that it has, in the order of the inputs."""
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *views: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B K"]:
        """Return logits of raw pixels in [0, 255]."""
        given = dict(zip(self.names, views, strict=True))
        logits: Tensor = self.model(given.get("roi"), given.get("extra_roi"))
        return logits


def random_views(run: Run, samples: int) -> tuple[Images, ...]:
    """Return noise for every view of a run; the same every time, and different for every sample."""
    side = run.card.image_size
    generator = np.random.default_rng(SEED)
    return tuple(generator.integers(0, 256, (samples, side, side, 3), dtype=np.uint8) for _ in run.branches)


def channels_first(views: Sequence[Images]) -> tuple[np.ndarray, ...]:
    """Return views as exported models take them, (B, 3, S, S)."""
    return tuple(np.ascontiguousarray(view.transpose(0, 3, 1, 2)) for view in views)


def tensors(views: Sequence[Images]) -> tuple[Tensor, ...]:
    """Return views as tensors (B, 3, S, S)."""
    return tuple(torch.from_numpy(view) for view in channels_first(views))


def describe(run: Run) -> dict[str, str]:
    """Return what a program must know to use an exported run, as text by name."""
    card = run.card
    return {
        "run": card.run,
        "class_names": json.dumps(card.class_names, ensure_ascii=False),
        "image_size": str(card.image_size),
        "preprocessing": card.preprocessing.model_dump_json(),
        "temperature": str(run.temperature),
        "weights_sha256": card.weights_sha256,
    }


@contextmanager
def renamed_when_done(path: Path) -> Iterator[Path]:
    """Lend another name to write to; the file takes its own once the block ends without an error."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_equality(run: Run, exported: PredictLogits, what: str) -> float:
    """Compare an exported model with its run on noise, for several batch sizes; return the largest difference.

    Args:
        run: The original, on the CPU.
        exported: The copy.
        what: File, for the error.

    Raises:
        ExportError: If a logit differs by more than `TOLERANCE`.
    """
    worst = float(np.max(list(_differences(run, exported))))  # unlike Python's, it does not lose a NaN
    if not worst <= TOLERANCE:
        raise ExportError(f"{what}: logits differ from run {run.name}'s by {worst:.1e}; more than {TOLERANCE:g}")
    return worst


def _differences(run: Run, exported: PredictLogits) -> Iterator[float]:
    classifier = Classifier(run.model, run.branches)
    for samples in BATCHES:
        views = random_views(run, samples)
        with torch.inference_mode():
            own = classifier(*tensors(views)).float().numpy()
        copied = exported(views)
        yield float(np.abs(copied - own).max() / max(1.0, float(np.abs(own).max())))


# A run as an exported program of PyTorch, .pt2: loads without this project's code or timm.


def write_exported_program(run: Run, path: Path) -> float:
    """Write one .pt2 file with a free batch size; return its largest difference from the run.

    `torch.export.load(path).module()(roi, extra_roi)` takes the views that the run looks at, uint8 (B, 3, S, S), and
    returns logits. What else a program must know is among the file's extra files.

    Args:
        run: On the CPU.
        path: File to write.

    Raises:
        ExportError: If PyTorch cannot export the model, or the file does not give the run's logits.
    """
    names, batch = run.branches, torch.export.Dim("batch", min=1)
    shapes = (tuple({0: batch} for _ in names),)
    try:
        program = torch.export.export(
            Classifier(run.model, names).eval(), tensors(random_views(run, 2)), dynamic_shapes=shapes
        )
    except (RuntimeError, ValueError) as error:
        text = str(error).strip().splitlines()[0]
        raise ExportError(f"run {run.name}: PyTorch cannot export it ({text})") from error
    with renamed_when_done(path) as unfinished:
        with warnings.catch_warnings(action="ignore"):  # of the exporter, about itself
            torch.export.save(program, unfinished, extra_files=describe(run))
        return check_equality(run, ExportedProgram(unfinished), str(path))


class ExportedProgram:
    """A .pt2 file."""

    def __init__(self, path: Path) -> None:
        """Load a file onto the CPU."""
        self.module = torch.export.load(path).module()

    @torch.inference_mode()
    def __call__(self, views: Sequence[Images]) -> Logits:
        """Return logits of views, in the order of the program's inputs."""
        logits: Logits = self.module(*tensors(views)).float().numpy()
        return logits


# A run as ONNX: for onnxruntime and whatever else reads it, without PyTorch.


OPSET = 20
"""Version of ONNX's operators; onnxruntime 1.17 (2024) and later run it."""
REQUIRED_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


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
    with renamed_when_done(path) as unfinished:
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
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(f"--format onnx needs {', '.join(missing)}; run `pip install -r requirements.txt`")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
