"""The twenty runs of arXiv 2407.08257, Tables 2 to 4 and 8 to 12, two beside them, and how runs are shown."""

from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

from pipeline.params.run_name import ABSENT, FUSIONS, RunName

Kind: TypeAlias = Literal[
    "two branches", "ROI only", "extra-ROI only", "without sauce", "one backbone on photo and mask", "other class set"
]

ALL, NO_SAUCE = "all", "no_sauce"
KINDS: tuple[Kind, ...] = get_args(Kind)  # groups of runs in the order the report shows them
PAPER_NAMES = {
    "mobilenetv2": "MobileNetV2",
    "vit": "ViT",
    "mixer": "Mixer",
    "deit": "DeiT",
    "deit_distilled": "DeiT-dist",
    ABSENT: "\N{EN DASH}",
    "mask_pool": "mask pooling",
    "mask_channel": "mask channel",
}


def name_of(backbone: str) -> str:
    """Return the short name of a backbone in charts and tables, a dash for an absent one."""
    return PAPER_NAMES.get(backbone, backbone)


class GridRun(RunName):
    """A run with its place in the paper's tables."""

    __slots__ = ()

    @property
    def kind(self) -> Kind:
        """Group of the paper's tables that the run belongs to."""
        if self.classes != ALL:
            return "without sauce" if self.classes == NO_SAUCE else "other class set"
        if self.extra_roi == ABSENT:
            return "ROI only"
        if self.extra_roi in FUSIONS:
            return "one backbone on photo and mask"
        return "extra-ROI only" if self.roi == ABSENT else "two branches"

    @property
    def label(self) -> str:
        """Short name for charts and tables: the backbones of both branches, or backbone and fusion."""
        return f"{name_of(self.roi)} + {name_of(self.extra_roi)}"


PAPER_RUNS: tuple[GridRun, ...] = tuple(
    GridRun.parse(name)
    for names in (
        # Tables 3, 11, 12
        "mobilenetv2+mobilenetv2-all mobilenetv2+vit-all vit+mobilenetv2-all vit+vit-all",
        "mobilenetv2+deit_distilled-all deit+deit-all deit+deit_distilled-all deit_distilled+deit_distilled-all",
        # Tables 2, 4, 10
        "mobilenetv2+none-all vit+none-all mixer+none-all deit+none-all deit_distilled+none-all",
        # Table 4
        "none+mobilenetv2-all none+vit-all none+deit_distilled-all",
        # Tables 8, 9
        "mobilenetv2+none-no_sauce vit+none-no_sauce deit_distilled+none-no_sauce",
        "deit_distilled+deit_distilled-no_sauce",
    )
    for name in names.split()
)
"""Runs of the paper."""
GRID_RUNS = (*PAPER_RUNS, *(GridRun("mobilenetv2", fusion, ALL) for fusion in FUSIONS))
"""Runs of `dvc.yaml`, which a test compares: those of the paper, and beside it one backbone on photo and mask."""
PROPOSED = GridRun("deit_distilled", "deit_distilled", ALL)
"""The paper's best model; fixed before any result is known, so that no run is picked by its result."""


def runs_with(variant: GridRun) -> tuple[GridRun, ...]:
    """Return the runs of the grid, followed by the variant unless it is one of them."""
    return GRID_RUNS if variant in GRID_RUNS else (*GRID_RUNS, variant)


def in_paper_order(names: Iterable[str]) -> tuple[GridRun, ...]:
    """Return runs by name, each once: those of the grid in its order, then the others by name.

    Raises:
        ParamsError: If one is no run name.
    """
    runs = {GridRun.parse(name) for name in names}
    return (*(run for run in GRID_RUNS if run in runs), *sorted(runs - set(GRID_RUNS)))
