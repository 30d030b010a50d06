"""The twenty runs of the paper, in its order, and how runs are grouped and shown.

Reference:
    arXiv 2407.08257, Tables 2 to 4 and 8 to 12.
"""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from pipeline.params.run_name import ABSENT, RunName

Kind: TypeAlias = Literal["two branches", "ROI only", "extra-ROI only", "without sauce", "other class set"]

ALL, NO_SAUCE = "all", "no_sauce"
KINDS: tuple[Kind, ...] = ("two branches", "ROI only", "extra-ROI only", "without sauce", "other class set")
"""Groups of runs in the order the report shows them."""
PAPER_NAMES = {
    "mobilenetv2": "MobileNetV2",
    "vit": "ViT",
    "mixer": "Mixer",
    "deit": "DeiT",
    "deit_distilled": "DeiT-dist",
}
"""Short name of a backbone in charts and tables, by name in `params.yaml`."""


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
        return "extra-ROI only" if self.roi == ABSENT else "two branches"

    @property
    def label(self) -> str:
        """Short name for charts and tables: the backbones of both branches, a dash for an absent one."""
        return " + ".join("–" if name == ABSENT else PAPER_NAMES.get(name, name) for name in (self.roi, self.extra_roi))  # noqa: RUF001


PAPER_RUNS: tuple[GridRun, ...] = (
    # Tables 3, 11, 12
    GridRun("mobilenetv2", "mobilenetv2", ALL),
    GridRun("mobilenetv2", "vit", ALL),
    GridRun("vit", "mobilenetv2", ALL),
    GridRun("vit", "vit", ALL),
    GridRun("mobilenetv2", "deit_distilled", ALL),
    GridRun("deit", "deit", ALL),
    GridRun("deit", "deit_distilled", ALL),
    GridRun("deit_distilled", "deit_distilled", ALL),
    # Tables 2, 4, 10
    GridRun("mobilenetv2", ABSENT, ALL),
    GridRun("vit", ABSENT, ALL),
    GridRun("mixer", ABSENT, ALL),
    GridRun("deit", ABSENT, ALL),
    GridRun("deit_distilled", ABSENT, ALL),
    # Table 4
    GridRun(ABSENT, "mobilenetv2", ALL),
    GridRun(ABSENT, "vit", ALL),
    GridRun(ABSENT, "deit_distilled", ALL),
    # Tables 8, 9
    GridRun("mobilenetv2", ABSENT, NO_SAUCE),
    GridRun("vit", ABSENT, NO_SAUCE),
    GridRun("deit_distilled", ABSENT, NO_SAUCE),
    GridRun("deit_distilled", "deit_distilled", NO_SAUCE),
)
"""Runs of the paper; `dvc.yaml` lists the same, which a test compares."""
PROPOSED = GridRun("deit_distilled", "deit_distilled", ALL)
"""The paper's best model; fixed before any result is known, so that no run is picked by its result."""


def runs_with(variant: GridRun) -> tuple[GridRun, ...]:
    """Return the runs of the paper, followed by the variant unless it is one of them."""
    return PAPER_RUNS if variant in PAPER_RUNS else (*PAPER_RUNS, variant)


def in_paper_order(names: Iterable[str]) -> tuple[GridRun, ...]:
    """Return runs by name, each once: those of the paper in its order, then the others by name.

    Raises:
        ParamsError: If one is no run name.
    """
    runs = {GridRun.parse(name) for name in names}
    return (*(run for run in PAPER_RUNS if run in runs), *sorted(runs - set(PAPER_RUNS)))
