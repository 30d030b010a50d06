"""Names of runs: the one place that spells and parses them, and what the names they are made of may hold."""

import re
from typing import NamedTuple, TypeVar

from pipeline.runtime.errors import ParamsError

ABSENT = "none"
"""Backbone of a branch that a run does not have."""
NAME = re.compile(r"[a-z0-9_]+")
"""Names of backbones and class sets; they are parts of names of runs and folders."""
RUN_NAME = re.compile(rf"({NAME.pattern})\+({NAME.pattern})-({NAME.pattern})")

RunT = TypeVar("RunT", bound="RunName")


class RunName(NamedTuple):
    """One classifier: which backbone looks at what, and on which classes."""

    roi: str
    """Backbone of the ROI branch, or none."""
    extra_roi: str
    """Backbone of the extra-ROI branch, or none."""
    classes: str
    """Class set."""

    @property
    def name(self) -> str:
        """Folder of the run: `<roi>+<extra_roi>-<class set>`."""
        return f"{self.roi}+{self.extra_roi}-{self.classes}"

    @classmethod
    def parse(cls: type[RunT], name: str) -> RunT:  # noqa: PYI019 - beartype reads no Self here
        """Return the run that a folder name stands for.

        Raises:
            ParamsError: If the name is not `<roi>+<extra_roi>-<class set>`.
        """
        match = RUN_NAME.fullmatch(name)
        if match is None:
            raise ParamsError(f"run {name!r}: expected <roi>+<extra_roi>-<class set>, for instance deit+none-all")
        return cls(*match.groups())
