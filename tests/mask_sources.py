"""Tiny SAM and FastSAM networks, photos and hostile weights, for tests of mask sources."""

import pickle
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from pipeline.params.masks import FastSamDecoding, SamDecoding
from pipeline.segmentation.sam import random_tensors

SAM_DECODING = SamDecoding(prompts_per_chunk=16, photos_per_batch=4, threads=1)
FASTSAM_DECODING = FastSamDecoding(
    image_size=128, confidence=0.4, iou=0.9, max_masks=50, min_iou=0.1, photos_per_batch=4, threads=1
)


def tiny_sam(folder: Path) -> Path:
    """Write a SAM of 0.1 M parameters whose masks are sharp enough for a pixel to belong clearly to one side."""
    tensors = random_tensors("tiny")
    generator = torch.Generator().manual_seed(1)
    for name, tensor in tensors.items():
        # Untrained, prompts hardly matter; larger decoder weights make masks depend on them.
        if name.startswith(("mask_decoder", "prompt_encoder")) and tensor.dim() > 1:
            tensors[name] = tensor + 0.2 * torch.randn(tensor.shape, generator=generator)
    path = folder / "tiny.safetensors"
    save_file(tensors, path)
    return path


def tiny_fastsam(folder: Path) -> Path:
    """Write a FastSAM of 0.25 M parameters, saved as ultralytics saves."""
    from pipeline.segmentation.fastsam import write_random  # noqa: PLC0415 - ultralytics may be absent

    path = folder / "tiny.pt"
    write_random("tiny", path)
    return path


def scene(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    """Return a photo of flat patches on a gradient: channels differ, so that a swap shows."""
    generator = np.random.default_rng(seed)
    photo = np.empty((height, width, 3), np.uint8)
    photo[...] = np.linspace(0, 200, width, dtype=np.uint8)[:, np.newaxis] // np.array([1, 2, 4], np.uint8)
    for _ in range(6):
        top, left = int(generator.integers(height - 20)), int(generator.integers(width - 20))
        photo[top : top + 20, left : left + 20] = generator.integers(0, 256, 3)
    return photo


class Trap:
    """Pickles into a call that leaves a file behind when somebody runs it."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Touch the file."""
        return Path.touch, (self.path,)


def crafted(path: Path, *, touches: Path) -> Path:
    """Write a weights file that runs code if it is loaded without care."""
    torch.save({"model": Trap(touches)}, path, pickle_module=pickle)
    return path
