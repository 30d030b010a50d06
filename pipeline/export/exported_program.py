"""A run as an exported program of PyTorch, .pt2: loads without this project's code or timm."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.arrays import Images, Logits
from pipeline.errors import ExportError
from pipeline.export.classifier import Classifier, check_equality, describe, finished, random_views, tensors
from pipeline.prediction.run import Run


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
    with finished(path) as unfinished:
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
