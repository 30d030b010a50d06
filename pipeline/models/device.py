"""Numerics that give the same bits on every CPU. Import before torch and timm."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.amp import GradScaler

from pipeline.arrays import Images
from pipeline.runtime import vector_width  # noqa: F401 - before torch
from pipeline.runtime.errors import ParamsError
from pipeline.runtime.lazy_compiler import defer_compiler
from pipeline.runtime.resources import keep_freed_memory

defer_compiler()


def set_deterministic(threads: int, seed: int) -> None:
    """Make everything that follows in this process repeatable.

    Args:
        threads: CPU threads; sums are split among them, so their number is part of the result.
        seed: Seed of the global generators.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    # The same switch as `use_deterministic_algorithms`, which imports the compiler to tell it too; see `Learner`.
    torch.set_deterministic_debug_mode("error")
    # Nothing here reads memory it has not written; filling it first costs 4 % of a training step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # fp32 is fp32 on every device: convolutions lost 13 bits of 23 on a GPU
    torch.manual_seed(seed)


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a seed in [0, 2^63) for one purpose, independent of those for all others."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def make_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one purpose, for instance `make_generator(seed, "order", epoch)`."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Iterator[None]:
    """Run a block that draws from the CPU's global generator, as initialisation does, with a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


def pick_device(name: str, asked: str = "params.yaml: runtime.device") -> torch.device:
    """Return the device called `name`; `auto` takes a GPU where there is one.

    Args:
        name: `auto`, `cpu`, `cuda` or `mps`.
        asked: Where the user named it, for the message.

    Raises:
        ParamsError: If this machine has no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [kind for kind, there in present.items() if there]
    if name == "auto":
        return torch.device(usable[0])
    if name not in usable:
        raise ParamsError(f"{asked}: {name!r} is not on this machine; choose auto, {', '.join(usable)}")
    return torch.device(name)


def free_pixel_bytes(device: torch.device) -> int:
    """Return what pixels may take of a GPU's memory, in bytes: half of what is free; 0 of what is no GPU of CUDA."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 0


# Mixed precision: what a forward pass is computed in. Weights, their gradients and their updates stay fp32.


Name: TypeAlias = Literal["fp32", "bf16", "fp16"]
TYPES: dict[Name, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision(NamedTuple):
    """A precision on a kind of device."""

    name: Name
    """Of the forward pass."""
    device: str
    """Kind of device: cpu, cuda or mps."""

    def autocast(self) -> torch.autocast:
        """Return a context in which matrix products and convolutions run in this precision."""
        reduced = self.name != "fp32"
        return torch.autocast(self.device, TYPES[self.name] if reduced else None, enabled=reduced)

    def scaler(self) -> GradScaler:
        """Return what keeps small fp16 gradients from vanishing; it passes everything through elsewhere."""
        return GradScaler(self.device, enabled=self.name == "fp16")


def choose_precision(name: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """Return the precision called `name`.

    `auto`, which only settings of earlier versions hold, is bf16 on a GPU that computes in it, and fp32 elsewhere.

    Raises:
        ParamsError: If the GPU does not compute in bf16.
    """
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "auto":
        return Precision("bf16" if native else "fp32", device.type)
    if name == "bf16" and device.type == "cuda" and not native:
        raise ParamsError("params.yaml: train.precision: this GPU does not compute in bf16; choose fp16 or fp32")
    return Precision(name, device.type)


# Pictures as tensors.


def to_tensor(images: Images) -> UInt8[Tensor, "N 3 S S"]:
    """Return the pictures with channels first in shape and last in memory, values still in [0, 255].

    Nothing moves: the tensor looks at the array, unless that cannot be written to or has gaps.
    """
    return torch.from_numpy(np.require(images, requirements=("C", "W"))).permute(0, 3, 1, 2)
