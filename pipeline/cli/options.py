"""What is said of files and folders on a command line before anything slow is imported."""

import os
from pathlib import Path
from typing import Literal, TypeAlias

from pipeline.runtime.errors import ParamsError


def check_output(folder: Path) -> None:
    """See to it that a folder can be written to, before anything is computed for it.

    Raises:
        ParamsError: If it, or the nearest folder above it that exists, is a file or closed to this user.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ParamsError(f"--out {folder}: {place} is a file; name a folder")
    if not os.access(place, os.W_OK):
        raise ParamsError(f"--out {folder}: {place} cannot be written by this user; name another folder")


# The option `--device`, shared by commands that run models.


Device: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]
"""Where models run; auto takes a GPU where there is one."""
