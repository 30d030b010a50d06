"""The option `--device`, shared by commands that run models."""

from typing import Literal, TypeAlias

Device: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
"""Where models run; auto takes a GPU where there is one."""
