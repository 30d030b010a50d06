"""Every run as a row: F1 and accuracy, and what perturbations cost; Figures 8, 9 and 10 of the paper in spirit."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.reporting.figures.style import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    WIDTH,
    PaperFigure,
    Wording,
    finish,
    print_style,
)
from pipeline.reporting.grid import Kind
from pipeline.reporting.run_charts import Change, Row, Share

KIND_STYLE: dict[Kind, tuple[str, str]] = {
    "two branches": (BLUE, ""),
    "ROI only": (ORANGE, "////"),
    "extra-ROI only": (GREEN, "...."),
    "without sauce": (PURPLE, "xxxx"),
    "other class set": (GRAY, "----"),
}
"""Colour and hatch by kind of run."""
SERIES_STYLE = ((ORANGE, "o"), (GREEN, "s"), (BLUE, "D"), (PURPLE, "^"), (GRAY, "v"))
ROW_HEIGHT, FRAME_HEIGHT = 0.165, 0.75
GAP = 1.2
"""Room in rows between groups."""


class BarPanel(NamedTuple):
    """One column of bars."""

    axis: str
    """What the numbers are."""
    shares: tuple[Share, ...]
    """One a run, the same runs in every panel."""
    reference: float | None
    """Level to compare with, in [0, 1]."""


def bar_figure(panels: Sequence[BarPanel], wording: Wording) -> PaperFigure:
    """Draw bars with intervals, runs from top to bottom and one panel a number.

    Args:
        panels: At least one, with at least one run.
        wording: Words of the figure.
    """
    rows = [share.row for share in panels[0].shares]
    places = places_of(rows)
    with print_style():
        figure = Figure(figsize=(WIDTH, _height(places)), layout="constrained")
        for number, (axes, panel) in enumerate(
            zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True)
        ):
            for place, share in zip(places, panel.shares, strict=True):
                _draw_bar(axes, place, share)
            if panel.reference is not None:
                axes.axvline(100 * panel.reference, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.set(xlim=(0, 118), xlabel=panel.axis, xticks=range(0, 101, 25))
            _name_rows(axes, rows, places, named=number == 0)
        return finish(figure, wording)


def _draw_bar(axes: Axes, place: float, share: Share) -> None:
    if share.value is None:
        axes.text(1, place, "does not apply", color=MUTED, fontsize=6, va="center")
        return
    colour, hatch = KIND_STYLE[share.row.kind]
    axes.barh(place, 100 * share.value, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
    low, high = share.interval or (share.value, share.value)
    axes.plot([100 * low, 100 * high], [place, place], color=INK, linewidth=1.2, solid_capstyle="butt")
    axes.annotate(
        f"{100 * share.value:.1f}", (100 * high, place), (3, 0), "data", "offset points",
        fontsize=6, va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
    )  # fmt: skip


def change_figure(panels: Sequence[Sequence[Change]], axis: str, wording: Wording) -> PaperFigure:
    """Draw differences to the plain pass as markers, with the spread over seeds; a panel per group of changes.

    Args:
        panels: Changes by panel; several per run, runs from top to bottom.
        axis: What the numbers are.
        wording: Words of the figure.
    """
    rows = list(dict.fromkeys(change.row for panel in panels for change in panel))
    places = places_of(rows)
    place_of = dict(zip(rows, places, strict=True))
    with print_style():
        figure = Figure(figsize=(WIDTH, _height(places) + 0.1), layout="constrained")
        for number, (axes, changes) in enumerate(
            zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True)
        ):
            _draw_series(axes, changes, place_of)
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set_xlabel(axis)
            axes.xaxis.set_major_locator(MaxNLocator(6))
            axes.grid(visible=True, axis="x")
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, handletextpad=0.1, columnspacing=1)
            _name_rows(axes, rows, places, named=number == 0)
        return finish(figure, wording)


def _draw_series(axes: Axes, changes: Sequence[Change], place_of: dict[Row, float]) -> None:
    names = list(dict.fromkeys(change.series for change in changes))
    for number, name in enumerate(names):
        colour, marker = SERIES_STYLE[number % len(SERIES_STYLE)]
        own = [change for change in changes if change.series == name]
        places = [place_of[change.row] for change in own]
        lows, highs = [100 * c.low for c in own], [100 * c.high for c in own]
        axes.hlines(places, lows, highs, color=colour, linewidth=2.2, alpha=0.45)
        axes.plot([100 * c.value for c in own], places, marker, color=colour, markersize=3.6, label=name)


def places_of(rows: Sequence[Row]) -> list[float]:
    """Return one place a row, with room above each group for its name."""
    places: list[float] = []
    for position, row in enumerate(rows):
        new_group = position > 0 and row.kind != rows[position - 1].kind
        places.append((places[-1] + 1 if places else 0.0) + (GAP if new_group else 0.0))
    return places


def _height(places: Sequence[float]) -> float:
    return (places[-1] + 2) * ROW_HEIGHT + FRAME_HEIGHT


def _name_rows(axes: Axes, rows: Sequence[Row], places: Sequence[float], *, named: bool) -> None:
    axes.set_ylim(places[-1] + 0.7, -1.6)
    axes.set_yticks(places, [row.label for row in rows])
    axes.spines["left"].set_visible(False)
    for kind, group in groupby(zip(places, rows, strict=True), key=lambda pair: pair[1].kind):
        if named:
            axes.annotate(
                kind, (0, next(group)[0] - 1), (-3, 0), ("axes fraction", "data"), "offset points",
                ha="right", va="center", fontsize=7, fontweight="bold", color=MUTED,
            )  # fmt: skip
