"""What runs are like after each epoch: Figure 6 of the paper, and a panel a run for the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
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
    chart_style,
    finish,
    finish_inline,
)
from pipeline.reporting.grid import PAPER_NAMES, GridRun, Kind
from pipeline.reporting.results import Epoch

PANEL = (2.3, 2.4)
"""Inches of a panel of the page, which has many of them."""
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
    with chart_style():
        figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
        whole, pair = figure.subplots(1, 2, sharex=True)
        for axes, column, title in (
            (whole, "test_macro_f1", "macro F1, whole test split"),
            (pair, "test_ambiguous_f1", "F1, ambiguous pair"),
        ):
            drawn = [
                _draw(axes, epochs, column, **_style_of(run, backbones.index(backbone_of(run)), len(epochs)))
                for run, epochs in histories.items()
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


def _draw(axes: Axes, epochs: Sequence[Epoch], column: str, **style: Any) -> bool:
    """Draw a line; tell whether there is one."""
    values = [getattr(epoch, column) for epoch in epochs]
    if all(map(math.isnan, values)):
        return False
    axes.plot([epoch.epoch for epoch in epochs], values, linewidth=1.3, **style)
    return True


def _style_of(run: GridRun, number: int, epochs: int) -> dict[str, Any]:
    """Return the line of a run: colour and marker of its backbone, dashes of what it sees."""
    every = max(1, epochs // 5)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[run.kind],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 3.2,
        "markevery": (number % every, every),
    }


def _keys(backbones: Sequence[str]) -> list[Line2D]:
    lines = [
        Line2D([], [], color=COLOURS[n % len(COLOURS)], marker=MARKERS[n % len(MARKERS)], markersize=4, linewidth=0,
               label=PAPER_NAMES.get(name, name))
        for n, name in enumerate(backbones)
    ]  # fmt: skip
    return [*lines, *(Line2D([], [], color=INK, linestyle=dashes, label=kind) for kind, dashes in DASHES.items())]


def curve_panel(epochs: Sequence[Epoch], *, name: str, title: str, highest_loss: float) -> Markup:
    """Draw F1 (whole set and ambiguous pair) above the losses of train and test, by epoch.

    Args:
        epochs: At least one.
        name: Prefix of the element ids.
        title: The run.
        highest_loss: Upper end of the loss axis, the same for all runs.
    """
    last = epochs[-1]
    with chart_style():
        figure = Figure(figsize=PANEL, layout="constrained")
        above, below = figure.subplots(2, sharex=True)
        _draw(above, epochs, "test_macro_f1", color=BLUE)
        _draw(above, epochs, "test_ambiguous_f1", color=ORANGE, linestyle="--")
        above.set(ylim=(0, 1.03), ylabel="F1", yticks=(0, 0.5, 1))
        _draw(below, epochs, "train_loss", color=GRAY)
        _draw(below, epochs, "test_loss", color=PURPLE, linestyle="--")
        for axes in (above, below):
            axes.grid(visible=True)
        below.set(ylim=(0, highest_loss), ylabel="loss", xlabel="epoch", xlim=(min(1, last.epoch - 1), last.epoch))
        below.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        figure.align_ylabels()
        return finish_inline(figure, name, _describe(title, last))


def highest_loss(histories: Sequence[Sequence[Epoch]]) -> float:
    """Return the upper end of a loss axis that shows every run but cuts off rare explosions."""
    losses = sorted(loss for epochs in histories for e in epochs for loss in (e.train_loss, e.test_loss))
    finite = [loss for loss in losses if math.isfinite(loss)]
    return 1.05 * finite[int(0.99 * (len(finite) - 1))] if finite else 1.0


def _describe(title: str, last: Epoch) -> str:
    pair = "" if math.isnan(last.test_ambiguous_f1) else f", F1 of the ambiguous pair {last.test_ambiguous_f1:.2f}"
    return (
        f"Learning curves of {title}: after epoch {last.epoch} macro F1 {last.test_macro_f1:.2f}{pair}, "
        f"train loss {last.train_loss:.2f}, test loss {last.test_loss:.2f}"
    )
