"""Weights of SAM: read from a file without running code of it, or drawn at random for trials."""

from pathlib import Path

import safetensors.torch
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from pipeline.errors import WeightsError, refuse_machine_fault
from pipeline.models.numerics import seeded
from pipeline.models.state_dicts import DAMAGE, load_saved, write_tensors
from pipeline.params.masks import SamArchitectureName
from pipeline.segmentation.official import SAM_FILES
from pipeline.segmentation.sam_architecture import ARCHITECTURES, build_sam

SEED = 0
"""Of random weights."""


def random_tensors(architecture: SamArchitectureName) -> dict[str, Tensor]:
    """Return the state dict of an untrained SAM, the same every time; its masks mean nothing."""
    with seeded(SEED, "sam", architecture):
        return dict(build_sam(ARCHITECTURES[architecture]).state_dict())


def load_sam(path: Path, architecture: SamArchitectureName) -> Sam:
    """Return a SAM with the weights of a .pth or .safetensors file, on the CPU.

    Raises:
        WeightsError: If the file is absent, damaged, wants to run code, or holds another network.
    """
    return with_tensors(read_sam_tensors(path, architecture), architecture, path)


def read_sam_tensors(path: Path, architecture: SamArchitectureName) -> dict[str, Tensor]:
    """Read a state dict; pickles are read with `weights_only`, so that no code of theirs runs.

    Raises:
        WeightsError: If the file is absent, damaged, or holds other things than named tensors.
    """
    try:
        tensors = safetensors.torch.load_file(path) if path.suffix == ".safetensors" else load_saved(path, mmap=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file; {wanted(architecture)}") from error
    except DAMAGE as error:
        refuse_machine_fault(path, error)
        text = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: not a readable state dict ({text}); {wanted(architecture)}") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise WeightsError(f"{path}: holds other things than named tensors; {wanted(architecture)}")
    return tensors


def write_sam(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a state dict as safetensors."""
    write_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def with_tensors(tensors: dict[str, Tensor], architecture: SamArchitectureName, path: Path) -> Sam:
    """Return a SAM that holds these very tensors.

    Raises:
        WeightsError: If they are those of another network.
    """
    with torch.device("meta"):  # no time goes into random numbers that are replaced at once
        model = build_sam(ARCHITECTURES[architecture])
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        wrong = sorted(shapes.keys() ^ tensors.keys()) or sorted(n for n in shapes if shapes[n] != tensors[n].shape)
        raise WeightsError(
            f"{path}: not the weights of SAM {architecture}: {len(wrong)} tensors differ, first {wrong[0]}; "
            f"{wanted(architecture)}, or correct masks.sam.architecture"
        )
    model.load_state_dict(tensors, assign=True)
    return model


def wanted(architecture: SamArchitectureName) -> str:
    """Say which file would do."""
    file = SAM_FILES.get(architecture)
    if file is None:
        return f"SAM {architecture} has no official weights: set masks.sam.weights to random"
    return f"fetch {file.url} ({file.size / 1e6:.0f} MB) and set masks.sam.weights to its path"
