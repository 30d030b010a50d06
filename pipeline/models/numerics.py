"""Numerics that give the same bits on every CPU. Import before torch and timm."""

from pipeline import processor  # noqa: F401 - before torch

# isort: split
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import ParamsError
from pipeline.memory import keep_freed_memory
from pipeline.models.lazy_compiler import defer_compiler

defer_compiler()


def fix_numerics(threads: int, seed: int) -> None:
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


def seed_of(seed: int, *purpose: str | int) -> int:
    """Return a seed in [0, 2^63) for one purpose, independent of those for all others."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one purpose, for instance `generator_of(seed, "order", epoch)`."""
    return torch.Generator().manual_seed(seed_of(seed, *purpose))


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Iterator[None]:
    """Run a block that draws from the CPU's global generator, as initialisation does, with a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, *purpose))
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


def spare_bytes(device: torch.device) -> int:
    """Return what pixels may take of a GPU's memory, in bytes: half of what is free; 0 of what is no GPU of CUDA."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 0
