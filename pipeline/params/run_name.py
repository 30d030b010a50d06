"""Names of runs: the one place that spells and parses them, and what the names they are made of may hold."""

import re
from typing import Literal, NamedTuple, TypeAlias, TypeVar, get_args

from pipeline.runtime.errors import ParamsError

ABSENT = "none"  # backbone of a branch that a run does not have
Fusion: TypeAlias = Literal["mask_pool", "mask_channel"]
"""How one backbone on the whole photo is told the mask, in the place of the second branch."""
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)
RESERVED = (ABSENT, *FUSIONS)  # names among `backbones` that have no model
NAME = re.compile(r"[a-z0-9_]+")  # names of backbones and class sets; they are parts of names of runs and folders
RUN_NAME = re.compile(rf"({NAME.pattern})\+({NAME.pattern})-({NAME.pattern})")

RunT = TypeVar("RunT", bound="RunName")


class RunName(NamedTuple):
    """One classifier: which backbone looks at what, and on which classes."""

    roi: str  # backbone of the ROI branch, or none; of a fusion the only backbone, which sees the whole photo
    extra_roi: str  # backbone of the extra-ROI branch, none, or a fusion
    classes: str  # class set

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
