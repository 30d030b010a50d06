"""A run as ONNX or as a PyTorch exported program (.pt2): views in, logits out, compared with the run."""

import json
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pipeline.arrays import Images, Logits, Photos
from pipeline.datasets.sample_batch import INPUT_NAMES, ROI, InputName
from pipeline.inference.predictor import Run
from pipeline.models.rvernet import RveRNet
from pipeline.runtime.errors import ExportError

TOLERANCE = 1e-4  # largest difference of a logit, relative to the largest logit if that is above 1
BATCHES = (1, 2, 5)  # batch sizes that are compared; the model is traced with two samples
OPSET = 20  # version of ONNX operators, for onnxruntime 1.17 (2024) and later
REQUIRED_PACKAGES = ("onnx", "onnxscript", "onnxruntime")

Exported: TypeAlias = Callable[[Sequence[Images | Photos]], Logits]  # logits of views, in the order of the inputs


class Classifier(nn.Module):
    """A run whose inputs are the views of its branches."""

    def __init__(self, model: RveRNet, names: tuple[InputName, ...]) -> None:
        """Wrap a model with branches `names`, in the order of the inputs."""
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *views: UInt8[Tensor, "B C S S"]) -> Float[Tensor, "B K"]:
        """Return logits of pixels in [0, 255]."""
        given = dict(zip(self.names, views, strict=True))
        logits: Tensor = self.model(*map(given.get, INPUT_NAMES))
        return logits


def random_views(run: Run, samples: int) -> tuple[Images | Photos, ...]:
    """Return the same noise on every call, for each input of a run and each sample; a photo has all three regions."""
    side = run.card.image_size
    generator = np.random.default_rng(0)
    shape, views = (samples, side, side), list[np.ndarray]()
    for name in run.branches:
        pixels = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
        regions = generator.integers(0, ROI + 1, (*shape, 1), dtype=np.uint8) if name == "photo" else pixels[..., :0]
        views.append(np.concatenate([pixels, regions], axis=3))
    return tuple(views)


def tensors(views: Sequence[Images | Photos]) -> tuple[Tensor, ...]:
    """Return views as tensors (B, C, S, S)."""
    return tuple(torch.from_numpy(np.ascontiguousarray(view.transpose(0, 3, 1, 2))) for view in views)


def describe(run: Run) -> dict[str, str]:
    """Return metadata of an exported run: classes, image size, preprocessing, temperature, hash of the weights."""
    card = run.card
    return {
        "run": card.run,
        "class_names": json.dumps(card.class_names, ensure_ascii=False),
        "image_size": str(card.image_size),
        "preprocessing": card.preprocessing.model_dump_json(),
        "temperature": str(run.temperature),
        "weights_sha256": card.weights_sha256,
    }


def check_equality(run: Run, exported: Exported, what: str) -> float:
    """Return the largest difference of a logit from a run, on noise in batches; ExportError above `TOLERANCE`."""
    classifier, differences = Classifier(run.model, run.branches), []
    for samples in BATCHES:
        views = random_views(run, samples)
        with torch.inference_mode():
            own = classifier(*tensors(views)).float().numpy()
        differences.append(float(np.abs(exported(views) - own).max() / max(1.0, float(np.abs(own).max()))))
    worst = float(np.max(differences))  # unlike Python's max, it keeps NaN
    if not worst <= TOLERANCE:
        raise ExportError(f"{what}: logits differ from run {run.name}'s by {worst:.1e}; more than {TOLERANCE:g}")
    return worst


def _traced(run: Run) -> tuple[nn.Module, tuple[Tensor, ...], tuple[tuple[dict[int, Any], ...]]]:
    """Return the module to export, two samples to trace it with, and the free sizes of its inputs."""
    batch = torch.export.Dim("batch", min=1)
    model = Classifier(run.model, run.branches).eval()
    return model, tensors(random_views(run, 2)), (tuple({0: batch} for _ in run.branches),)


def _write(run: Run, path: Path, save: Callable[[Path], object], load: Callable[[Path], Exported]) -> float:
    """Save under a temporary name, compare the file with the run, and rename it; return the largest difference."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    try:
        with warnings.catch_warnings(action="ignore"):  # about the exporter itself
            save(unfinished)
        worst = check_equality(run, load(unfinished), str(path))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return worst


def write_exported_program(run: Run, path: Path) -> float:
    """Write one .pt2 file with a free batch size; return its largest difference from the run, on the CPU.

    It loads without this project's code or timm: `torch.export.load(path).module()(roi, extra_roi)` takes the views of
    the run's branches, uint8 (B, 3, S, S), and returns logits. One backbone on photo and mask takes the letterboxed
    photo, (B, 4, S, S), whose fourth channel is 0 on the padding, 1 on the surroundings and 2 on the ROI. Metadata are
    in the file's extra files.

    Raises:
        ExportError: If PyTorch cannot export the model, or the file gives other logits.
    """
    model, views, shapes = _traced(run)
    try:
        program = torch.export.export(model, views, dynamic_shapes=shapes)
    except (RuntimeError, ValueError) as error:
        text = str(error).strip().splitlines()[0]
        raise ExportError(f"run {run.name}: PyTorch cannot export it ({text})") from error
    return _write(
        run, path, lambda file: torch.export.save(program, file, extra_files=describe(run)), load_exported_program
    )


def load_exported_program(path: Path) -> Exported:
    """Return the classifier of a .pt2 file, on the CPU."""
    module = torch.export.load(path).module()

    @torch.inference_mode()
    def classify(views: Sequence[Images | Photos]) -> Logits:
        logits: Logits = module(*tensors(views)).float().numpy()
        return logits

    return classify


def write_onnx(run: Run, path: Path) -> float:
    """Write one .onnx file with a free batch size; return its largest difference from the run, on the CPU.

    Inputs are the views of the run's branches, `roi` and `extra_roi`, uint8 (batch, 3, S, S) in [0, 255], or `photo`,
    see `write_exported_program`; the output is `logits`, float32 (batch, K). Metadata are in the file.

    Raises:
        ExportError: If a package is absent, PyTorch cannot export the model, or the file gives other logits.
    """
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(f"--format onnx needs {', '.join(missing)}; run `make install WITHOUT=`")
    model, views, shapes = _traced(run)
    names: dict[str, Any] = {"input_names": list(run.branches), "output_names": ["logits"], "dynamic_shapes": shapes}
    try:
        with warnings.catch_warnings(action="ignore"):  # about the exporter itself
            program: Any = torch.onnx.export(model, views, dynamo=True, opset_version=OPSET, verbose=False, **names)
    except torch.onnx.errors.OnnxExporterError as error:
        text = str(error).strip().splitlines()[0]
        raise ExportError(f"run {run.name}: PyTorch cannot write it as ONNX ({text})") from error
    program.model.metadata_props.update(describe(run))
    return _write(run, path, program.save, load_onnx)


def load_onnx(path: Path) -> Exported:
    """Return the classifier of an .onnx file in onnxruntime, on the CPU."""
    import onnxruntime  # noqa: PLC0415 - needed for this format alone

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def classify(views: Sequence[Images | Photos]) -> Logits:
        arrays = (view.numpy() for view in tensors(views))
        (logits,) = session.run(["logits"], dict(zip(names, arrays, strict=True)))
        return np.asarray(logits)

    return classify
