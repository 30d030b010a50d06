"""Restrict all libraries to AVX2, so that every machine computes the same bits. Import before numpy, cv2 and torch.

Libraries choose kernels by the processor's features when imported, and kernels of other widths round and sum in another
order: the demo's photos differed between two machines of one data centre. x86-64 processors have AVX2 since 2015.
IPP, OpenCV's second library, cannot be restricted and is disabled.
"""

import os
import platform
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow a shared machine up to 20 times
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's spin too: stage probe took ten times as long
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # but not for their first microseconds; docs/decisions/threads.md
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic matrix products on a GPU need
INSTRUCTION_SET = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENCV_IPP": "disabled",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
}
"""Environment variables, also for processes that import numpy before this module."""
if platform.machine() in {"x86_64", "AMD64"}:
    os.environ.update(INSTRUCTION_SET)
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # it warns that IPP is disabled
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and "avx512bw" in cpuinfo.read_text(encoding="utf-8"):
        os.environ["OPENCV_CPU_DISABLE"] = "AVX512-SKX"  # it prints a complaint where there is nothing to disable


def core_count() -> int:
    """Return the number of processors this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
