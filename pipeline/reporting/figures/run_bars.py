"""Every run as a row: its numbers as bars, and what perturbations cost; Figures 8, 9 and 10 of the paper in spirit."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from pipeline.datasets.statistics import CategoryCount
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
    chart_style,
    finish,
    finish_inline,
)
from pipeline.reporting.grid import KINDS, GridRun, Kind
from pipeline.reporting.summary import Ends, RunSummary, StudySummary

KIND_COLOUR: dict[Kind, str] = {
    "two branches": BLUE,
    "ROI only": ORANGE,
    "extra-ROI only": GREEN,
    "without sauce": PURPLE,
    "other class set": GRAY,
}
"""Beside the group's name at the left."""
SERIES_STYLE = ((ORANGE, "o"), (GREEN, "s"), (BLUE, "D"), (PURPLE, "^"), (GRAY, "v"))
TARGET_NAME = {"roi": "ROI", "extra_roi": "extra-ROI", "both": "both"}
COIN = 0.5
"""Right answers of a coin on two classes."""
ROW_HEIGHT, FRAME_HEIGHT = 0.165, 0.75
GAP = 1.2
"""Room in rows between groups."""
CHART_WIDTH = 4.2
"""Inches of a chart with one panel, in the page."""
SMALL = 40
"""Per cent up to which the bars of a single panel get a scale of their own."""


class Row(NamedTuple):
    """One run of a chart."""

    label: str
    """Name at the left."""
    kind: Kind
    """Group; rows of a group stand together."""


class Share(NamedTuple):
    """A number in [0, 1]."""

    row: Row
    value: float | None
    """None leaves the row empty."""
    interval: Ends | None
    """Drawn as a whisker."""


class Change(NamedTuple):
    """A difference to the plain pass, in [-1, 1]."""

    row: Row
    series: str
    """Entry of the legend."""
    value: float
    low: float
    """Worst of several seeds; equal to `value` for one."""
    high: float
    """Best of several seeds."""


class BarPanel(NamedTuple):
    """One column of bars."""

    axis: str
    """What the numbers are."""
    shares: tuple[Share, ...]
    """One a run, the same runs in every panel."""
    reference: float | None
    """Level to compare with, in [0, 1]."""


def by_kind(summary: StudySummary) -> tuple[RunSummary, ...]:
    """Return the runs grouped by kind, each group in the paper's order, a variant outside the paper last."""
    return tuple(sorted(summary.runs.values(), key=lambda result: KINDS.index(result.run.kind)))


def row_of(run: GridRun, variant: str | None) -> Row:
    """Return the label of a run; a star marks the variant."""
    return Row(f"★ {run.label}" if run.name == variant else run.label, run.kind)


def bar_panel(summary: StudySummary, column: str, axis: str, reference: float | None = None) -> BarPanel:
    """Return one number of all runs, with its interval where the summary has one.

    Args:
        summary: At least one run.
        column: Name of the number.
        axis: What it is.
        reference: Level to compare with, in [0, 1].
    """
    shares = (
        Share(row_of(r.run, summary.variant), getattr(r, column), getattr(r, f"{column}_interval", None))
        for r in by_kind(summary)
    )
    return BarPanel(axis, tuple(shares), reference)


def permutation_changes(summary: StudySummary) -> Iterator[Change]:
    """Yield what permutation costs each run, by permuted view, with the spread over seeds."""
    for result in by_kind(summary):
        row = row_of(result.run, summary.variant)
        for entry in result.permutations:
            spread = (entry.lowest_top1 - entry.top1, entry.highest_top1 - entry.top1)
            low, high = (entry.change_top1 + difference for difference in spread)
            yield Change(row, TARGET_NAME[entry.target], entry.change_top1, low, high)


def translocation_changes(summary: StudySummary) -> Iterator[Change]:
    """Yield what each translocation costs each run."""
    for result in by_kind(summary):
        row = row_of(result.run, summary.variant)
        for entry in result.translocations:
            yield Change(row, f"({entry.dx}, {entry.dy})", *[entry.change_top1] * 3)


def bar_figure(panels: Sequence[BarPanel], wording: Wording) -> PaperFigure:
    """Draw bars with intervals, runs from top to bottom and one panel a number.

    Args:
        panels: At least one, with at least one run.
        wording: Words of the figure.
    """
    with chart_style():
        return finish(_draw_bars(panels, WIDTH), wording)


def bar_chart(panel: BarPanel, name: str) -> Markup:
    """Draw one panel of bars for the page.

    Args:
        panel: What to draw.
        name: Prefix of the element ids.
    """
    values = "; ".join(f"{s.row.label} {100 * s.value:.1f}" for s in panel.shares if s.value is not None)
    with chart_style():
        return finish_inline(_draw_bars([panel], CHART_WIDTH), name, f"Bar chart, {panel.axis}: {values}")


def _draw_bars(panels: Sequence[BarPanel], width: float) -> Figure:
    rows = [share.row for share in panels[0].shares]
    places = places_of(rows)
    figure = Figure(figsize=(width, _height(places)), layout="constrained")
    for number, (axes, panel) in enumerate(
        zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True)
    ):
        for place, share in zip(places, panel.shares, strict=True):
            _draw_bar(axes, place, share)
        if panel.reference is not None:
            axes.axvline(100 * panel.reference, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        ends = [100 * (s.interval[1] if s.interval else s.value) for s in panel.shares if s.value is not None]
        small = len(panels) == 1 and 0 < max(ends, default=100) <= SMALL
        axes.set(xlim=(0, 1.18 * (max(ends) if small else 100)), xlabel=panel.axis)  # room for the longest bar's number
        axes.xaxis.set_major_locator(MaxNLocator(5) if small else FixedLocator(range(0, 101, 25)))
        _name_rows(axes, rows, places, named=number == 0)
    return figure


def _draw_bar(axes: Axes, place: float, share: Share) -> None:
    if share.value is None:
        axes.text(1, place, "does not apply", color=MUTED, fontsize=6, va="center")
        return
    axes.barh(place, 100 * share.value, height=0.72, color=KIND_COLOUR[share.row.kind])
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
    with chart_style():
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


# Charts of the data card.


DATA_WIDTH, DATA_ROW_HEIGHT, DATA_FRAME_HEIGHT = 4.2, 0.2, 0.6


def counts_chart(categories: Sequence[CategoryCount], ambiguous: Sequence[str], *, name: str) -> Markup:
    """Draw train and test samples of every category, most frequent first; the ambiguous pair is in bold.

    Args:
        categories: In any order.
        ambiguous: Names of the pair.
        name: Prefix of the element ids.
    """
    ordered = sorted(categories, key=lambda c: (-c.train - c.test, c.target))
    places = range(len(ordered))
    with chart_style():
        figure = Figure(figsize=(DATA_WIDTH, len(ordered) * DATA_ROW_HEIGHT + DATA_FRAME_HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.barh([p - 0.2 for p in places], [c.train for c in ordered], height=0.36, color=BLUE, label="train")
        axes.barh([p + 0.2 for p in places], [c.test for c in ordered], height=0.36, color=ORANGE, label="test")
        axes.set_yticks(places, [c.name for c in ordered])
        for label, category in zip(axes.get_yticklabels(), ordered, strict=True):
            label.set_fontweight("bold" if category.name in ambiguous else "normal")
        axes.set(ylim=(len(ordered) - 0.4, -0.6), xlabel="samples")
        axes.grid(visible=True, axis="x")
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper right", ncols=2)
        counts = "; ".join(f"{c.name} {c.train} and {c.test}" for c in ordered)
        return finish_inline(figure, name, f"Bar chart of samples by category, train and test: {counts}")
