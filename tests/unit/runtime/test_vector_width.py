"""Every stage holds every library to one instruction set before the library is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "cv2", "torch"):
            held = {"NPY_DISABLE_CPU_FEATURES", "OPENCV_IPP", "ATEN_CPU_CAPABILITY"} <= os.environ.keys()
            os._exit(0 if held else 1)  # the first of them decides
for module in sys.argv[1:]:
    if not (child := os.fork()):
        sys.meta_path.insert(0, Watch())
        __import__(module)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(module)
"""
"""Prints the modules that import a library before the limits are set."""
ANSWERS = """
import numpy as np, cv2
core = np._core._multiarray_umath
line = cv2.getCPUFeaturesLine()
# Of the features a processor has, numpy has kernels for these.
print(any(core.__cpu_features__[name] for name in core.__cpu_dispatch__ if "AVX512" in name or name == "X86_V4"))
print("*AVX512" in line and "?" not in line)
print(cv2.ipp.useIPP())
"""


def answers_of(root: Path, code: str, *arguments: str) -> list[str]:
    """Return what a fresh process prints; a library reads its variables once."""
    env = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, *arguments], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "OPENCV" not in done.stderr, "no complaint of a library reaches the user"
    return done.stdout.split()


def test_every_entry_sets_the_limits_before_any_library(root: Path) -> None:
    """Whatever the order of its imports: each stage, `python -m pipeline`, and a program of one's own."""
    stages = [f"stages.{path.stem}" for path in sorted(root.glob("stages/[!_]*.py"))]
    assert len(stages) > 15
    assert answers_of(root, WATCH, *stages, "pipeline.__main__", "pipeline.api") == []
    assert answers_of(root, WATCH, "numpy", "pipeline.arrays") == ["numpy", "pipeline.arrays"]


def test_libraries_keep_to_the_limits(root: Path) -> None:
    """Neither numpy nor OpenCV uses kernels that some machines lack, and IPP, which chooses by itself, is out."""
    assert answers_of(root, f"import pipeline.runtime.vector_width{ANSWERS}") == ["False", "False", "False"]
