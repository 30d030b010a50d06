"""Every stage holds every library to one instruction set before the library is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STAGES = sorted(path.stem for path in Path(__file__).parents[3].glob("stages/[!_]*.py"))
WATCH = """
import builtins, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "cv2", "torch"):
            assert os.environ.get("NPY_DISABLE_CPU_FEATURES"), f"{name} came first"
            assert os.environ.get("OPENCV_IPP") and os.environ.get("ATEN_CPU_CAPABILITY"), f"{name} came first"
sys.meta_path.insert(0, Watch())
"""
ANSWERS = """
import numpy as np, cv2
core = np._core._multiarray_umath
line = cv2.getCPUFeaturesLine()
# Of the features a processor has, numpy has kernels for these.
print(any(core.__cpu_features__[name] for name in core.__cpu_dispatch__ if "AVX512" in name or name == "X86_V4"))
print("*AVX512" in line and "?" not in line)
print(cv2.ipp.useIPP())
"""


def answers_of(root: Path, code: str) -> list[str]:
    """Return what a fresh process prints; a library reads its variables once."""
    env = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "OPENCV" not in done.stderr, "no complaint of a library reaches the user"
    return done.stdout.split()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_sets_the_limits_before_any_library(root: Path, stage: str) -> None:
    """Whatever the order of its imports."""
    assert answers_of(root, f"{WATCH}import stages.{stage}") == []


@pytest.mark.parametrize("module", ["pipeline.__main__", "pipeline.api"])
def test_command_line_and_api_set_the_limits_before_any_library(root: Path, module: str) -> None:
    """The same for `python -m pipeline` and for a program of one's own."""
    assert answers_of(root, f"{WATCH}import {module}") == []


def test_libraries_keep_to_the_limits(root: Path) -> None:
    """Neither numpy nor OpenCV uses kernels that some machines lack, and IPP, which chooses by itself, is out."""
    assert answers_of(root, f"import pipeline.runtime.vector_width{ANSWERS}") == ["False", "False", "False"]
