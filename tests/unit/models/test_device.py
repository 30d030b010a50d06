"""Repeatable numerics."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.models.device import derive_seed, make_generator, pick_device, seeded
from pipeline.runtime.errors import ParamsError

PROBE = """
import pipeline.models.device as device, torch
device.set_deterministic(threads=3, seed=5)
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
"""


def test_kernels_are_capped_before_torch_chooses_them(root: Path) -> None:
    """In a fresh process, as in a stage, wide vectors stay unused even where the environment asks for them."""
    command = [sys.executable, "-c", PROBE]
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "avx512"}
    output = subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True).stdout  # noqa: S603
    capability, threads, deterministic = output.split()
    assert capability not in {"AVX512", "AMX"}
    assert (threads, deterministic) == ("3", "True")


def test_seeds_differ_by_purpose_and_repeat() -> None:
    """Order, flips and initialisation never share a stream."""
    seeds = {
        derive_seed(0, "order", 1),
        derive_seed(0, "order", 2),
        derive_seed(0, "flip", 1),
        derive_seed(1, "order", 1),
    }
    assert len(seeds) == 4
    assert derive_seed(0, "order", 1) == derive_seed(0, "order", 1)
    assert torch.equal(
        torch.rand(3, generator=make_generator(0, "flip", 2)), torch.rand(3, generator=make_generator(0, "flip", 2))
    )


def test_a_seeded_block_leaves_the_outer_stream_alone() -> None:
    """Building a head draws the same numbers whatever was built before, and moves nothing outside."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with seeded(0, "head"):
        first = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    with seeded(0, "head"):
        assert torch.equal(torch.rand(2), first)


def test_devices_are_picked_by_name() -> None:
    """The CPU is always there; an unknown one is refused with the valid ones."""
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in {"cpu", "cuda", "mps"}
    with pytest.raises(ParamsError, match=r"'tpu' is not on this machine; choose auto, .*cpu"):
        pick_device("tpu")
    with pytest.raises(ParamsError, match=r"^--device: 'tpu' is not"):
        pick_device("tpu", "--device")
