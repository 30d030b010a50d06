"""What a person asks for on the command line, and what looks for it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.prompts import Prompt
from pipeline.errors import ParamsError
from pipeline.prediction.regions import DrawnRegions, MaskPairs, PromptedRegions, ProposedRegions, RegionFinder
from pipeline.segmentation.source import MaskSource

GRABCUT = "grabcut"
"""The one source that cannot answer a click."""
WHERE = "say where the food is: --point X,Y, --box X0,Y0,X1,Y1, --mask FILE, or --all"


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the foods are, as typed."""

    prompts: tuple[Prompt, ...] = ()
    """Clicks and boxes, each a food."""
    mask: Path | None = None
    """Picture of masks, or a folder of them."""
    value: int | None = None
    """The one value of `mask` to take."""
    every: bool = False
    """All values of `mask`, or all that a source proposes."""

    def check(self) -> None:
        """See to it that what was asked makes sense, before anything is read.

        Raises:
            ParamsError: If nothing was asked, or things that exclude each other, or there is no such mask.
        """
        if not (self.prompts or self.mask or self.every):
            raise ParamsError(WHERE)
        if self.prompts and (self.mask or self.every):
            raise ParamsError(f"clicks and boxes exclude --mask and --all; {WHERE}")
        if self.value is not None and (self.mask is None or self.every):
            raise ParamsError("--value chooses one food of --mask; give --mask FILE, and no --all")
        if self.mask is not None and not self.mask.exists():
            raise ParamsError(f"{self.mask}: no such mask file or folder")

    def finder(self, open_source: Callable[[], MaskSource], pairs: MaskPairs | None = None) -> RegionFinder:
        """Return what finds the regions.

        Args:
            pairs: Which mask belongs to which photo, where `mask` is a folder.
            open_source: Loads the mask source; called only where one is needed.

        Raises:
            ParamsError: If nothing was asked, or things that exclude each other, or the source cannot answer it.
        """
        self.check()
        if self.mask is not None:
            return DrawnRegions(pairs or self.mask, self.value, self.every)
        source = open_source()
        if self.every and source.name == GRABCUT:
            raise ParamsError(
                "--all: grabcut finds no food by itself; add --masks fastsam --mask-weights FILE, or --mask FILE "
                "with one value a food"
            )
        if source.name == GRABCUT and any(prompt.kind == "point" for prompt in self.prompts):
            raise ParamsError("--point: grabcut takes boxes only; add --masks sam --mask-weights FILE")
        return ProposedRegions(source) if self.every else PromptedRegions(source, self.prompts)
