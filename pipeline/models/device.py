"""Device, precision, seeds and determinism. Import before torch and timm."""

from pipeline.runtime import vector_width  # noqa: F401 - before numpy and torch

# isort: split
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.amp import GradScaler

from pipeline.arrays import Images, Photos
from pipeline.runtime.errors import ParamsError
from pipeline.runtime.lazy_compiler import defer_compiler
from pipeline.runtime.resources import keep_freed_memory

defer_compiler()


def set_deterministic(threads: int, seed: int) -> None:
    """Make all computation in this process repeatable; CPU threads split sums, so their number affects the result."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    # Unlike `use_deterministic_algorithms` it does not import the compiler; `Trainer` configures that.
    torch.set_deterministic_debug_mode("error")
    # Filling uninitialised memory takes 4 % of a training step, and nothing here reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # TF32 convolutions have 10 bits of 23
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
    """Run a block that draws from the CPU's global generator, as initialisation does, with its own seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


def pick_device(name: str, asked: str = "params.yaml: runtime.device") -> torch.device:
    """Return the device called `name`: `cpu`, `cuda`, `mps`, or `auto`, which takes a GPU where there is one.

    Raises:
        ParamsError: If this machine has no such device; the message says where the user `asked` for it.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [kind for kind, there in present.items() if there]
    if name == "auto":
        return torch.device(usable[0])
    if name not in usable:
        raise ParamsError(f"{asked}: {name!r} is not on this machine; choose auto, {', '.join(usable)}")
    return torch.device(name)


def free_pixel_bytes(device: torch.device) -> int:
    """Return half of a CUDA device's free memory in bytes, for pixels; 0 on other devices."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 0


Name: TypeAlias = Literal["fp32", "bf16", "fp16"]


class Precision(NamedTuple):
    """Precision of the forward pass; weights, gradients and updates are fp32."""

    name: Name
    device: str  # kind of device: cpu, cuda or mps

    def autocast(self) -> torch.autocast:
        """Return a context in which matrix products and convolutions run in this precision."""
        reduced = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.name)
        return torch.autocast(self.device, reduced, enabled=reduced is not None)

    def scaler(self) -> GradScaler:
        """Return the gradient scaler of fp16; disabled for other precisions."""
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


def to_tensor(images: Images | Photos) -> UInt8[Tensor, "N C S S"]:
    """Return the pictures with channels first in shape and last in memory, values still in [0, 255].

    The tensor shares the array's memory, unless that is read-only or not contiguous.
    """
    return torch.from_numpy(np.require(images, requirements=("C", "W"))).permute(0, 3, 1, 2)
