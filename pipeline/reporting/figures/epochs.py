"""F1 by epoch for the whole test split and for the ambiguous pair; Figure 6 of the paper."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pipeline.params.run_name import ABSENT
from pipeline.reporting.figures.style import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    WIDTH,
    PaperFigure,
    Wording,
    finish,
    print_style,
)
from pipeline.reporting.grid import PAPER_NAMES, GridRun, Kind
from pipeline.reporting.results import Epoch

COLOURS = (ORANGE, GREEN, BLUE, PURPLE, GRAY)
MARKERS = ("s", "^", "o", "D", "v")
DASHES: dict[Kind, tuple[float, Sequence[float]]] = {
    "two branches": (0, (1, 0)),
    "ROI only": (0, (4, 1.5)),
    "extra-ROI only": (0, (1, 1.5)),
}
"""Line by kind of run."""


def epoch_figure(histories: Mapping[GridRun, Sequence[Epoch]], wording: Wording) -> PaperFigure:
    """Draw one line a run: colour and marker tell the backbone, dashes what it sees.

    Args:
        histories: Runs whose branches share one backbone.
        wording: Words of the figure.
    """
    backbones = list(dict.fromkeys(backbone_of(run) for run in histories))
    with print_style():
        figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
        whole, pair = figure.subplots(1, 2, sharex=True)
        for axes, column, title in (
            (whole, "test_macro_f1", "macro F1, whole test split"),
            (pair, "test_ambiguous_f1", "F1, ambiguous pair"),
        ):
            drawn = [
                _draw(axes, epochs, column, run, backbones.index(backbone_of(run))) for run, epochs in histories.items()
            ]
            if not any(drawn):
                axes.text(0.5, 0.5, "no samples", transform=axes.transAxes, ha="center", va="center")
            axes.set(xlabel="epoch", ylabel=title, ylim=(0, 1))
            axes.grid(visible=True)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        figure.legend(handles=_keys(backbones), loc="outside lower center", ncols=max(len(backbones), len(DASHES)))
        return finish(figure, wording)


def backbone_of(run: GridRun) -> str:
    """Return the backbone of a run whose branches share one."""
    return run.extra_roi if run.roi == ABSENT else run.roi


def _draw(axes: Axes, epochs: Sequence[Epoch], column: str, run: GridRun, number: int) -> bool:
    """Draw a line; tell whether there is one."""
    values = [getattr(epoch, column) for epoch in epochs]
    if all(map(math.isnan, values)):
        return False
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    every = max(1, len(epochs) // 5)
    axes.plot(
        [epoch.epoch for epoch in epochs], values, color=colour, linestyle=DASHES[run.kind], linewidth=1.3,
        marker=marker, markersize=3.2, markevery=(number % every, every),
    )  # fmt: skip
    return True


def _keys(backbones: Sequence[str]) -> list[Line2D]:
    lines = [
        Line2D([], [], color=COLOURS[n % len(COLOURS)], marker=MARKERS[n % len(MARKERS)], markersize=4, linewidth=0,
               label=PAPER_NAMES.get(name, name))
        for n, name in enumerate(backbones)
    ]  # fmt: skip
    return [*lines, *(Line2D([], [], color=INK, linestyle=dashes, label=kind) for kind, dashes in DASHES.items())]
