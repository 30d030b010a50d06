"""Charts with one row a run, in the paper's order and grouped by what the classifier sees."""

from collections.abc import Sequence
from itertools import cycle, groupby
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.reporting.grid import Kind
from pipeline.reporting.summary import Interval
from pipeline.reporting.svg import BLUE, GRAY, GREEN, INK, MUTED, ORANGE, PURPLE, inline_svg, new_figure, page_style

KIND_COLOUR: dict[Kind, str] = {
    "two branches": BLUE,
    "ROI only": ORANGE,
    "extra-ROI only": GREEN,
    "without sauce": PURPLE,
    "other class set": GRAY,
}
SERIES_STYLE = ((ORANGE, "o"), (GREEN, "s"), (BLUE, "D"), (PURPLE, "^"), (GRAY, "v"))
"""Colour and marker by series; the marker tells them apart without colour."""
SMALL = 40
"""Per cent up to which bars get a scale of their own."""
WIDTH, ROW_HEIGHT, FRAME_HEIGHT = 4.4, 0.2, 0.75
LEAST_HEIGHT = 1.6
"""Inches that axis, label and legend take where there is hardly a row."""


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
    interval: Interval | None
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


def share_chart(shares: Sequence[Share], *, name: str, axis: str, reference: tuple[float, str] | None) -> Markup:
    """Draw bars with whiskers, on a scale from 0 to 100 % unless all are small.

    Args:
        shares: Rows from top to bottom.
        name: Prefix of the element ids.
        axis: What the numbers are.
        reference: Level to compare with, in [0, 1], and its name.
    """
    with page_style():
        figure, axes = _frame([share.row for share in shares], axis)
        for place, share in zip(_places([s.row for s in shares]), shares, strict=True):
            _draw_share(axes, place, share)
        highest = max(
            [100 * (s.interval[1] if s.interval else s.value) for s in shares if s.value is not None] or [100]
        )
        axes.set_xlim(
            0, 1.12 * (highest if 0 < highest <= SMALL else 100)
        )  # room for the number beside the longest bar
        if reference is not None:
            axes.axvline(100 * reference[0], color=INK, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_xlabel(f"{axis}\n(dashed: {reference[1]})")
        return inline_svg(figure, name, _describe(axis, shares))


def _draw_share(axes: Axes, place: float, share: Share) -> None:
    if share.value is None:
        axes.text(1, place, "does not apply", color=MUTED, fontsize=8, va="center")
        return
    axes.barh(place, 100 * share.value, height=0.62, color=KIND_COLOUR[share.row.kind], alpha=0.85)
    end = share.value
    if share.interval is not None:
        low, high = share.interval
        axes.plot([100 * low, 100 * high], [place, place], color=INK, linewidth=1.4, solid_capstyle="butt")
        end = high
    axes.annotate(
        f"{100 * share.value:.1f}", (100 * end, place), (4, 0), "data", "offset points", fontsize=8, va="center"
    )


def _describe(axis: str, shares: Sequence[Share]) -> str:
    values = "; ".join(f"{s.row.label} {100 * s.value:.1f}" for s in shares if s.value is not None)
    return f"Bar chart, {axis}: {values}"


def change_chart(changes: Sequence[Change], *, name: str, axis: str) -> Markup:
    """Draw differences to the plain pass as markers with the spread over seeds.

    Args:
        changes: Several per run; runs from top to bottom.
        name: Prefix of the element ids.
        axis: What the numbers are.
    """
    rows = list(dict.fromkeys(change.row for change in changes))
    styles = dict(zip(dict.fromkeys(change.series for change in changes), cycle(SERIES_STYLE), strict=False))
    with page_style():
        figure, axes = _frame(rows, axis)
        place_of = dict(zip(rows, _places(rows), strict=True))
        for series, (colour, marker) in styles.items():
            _draw_series(axes, [c for c in changes if c.series == series], place_of, (series, colour, marker))
        axes.axvline(0, color=INK, linewidth=1)
        figure.legend(loc="outside upper right", ncols=min(len(styles), 3), handletextpad=0.1, columnspacing=1)
        texts = "; ".join(f"{c.row.label} {c.series} {100 * c.value:+.1f}" for c in changes)
        return inline_svg(figure, name, f"Dot chart, {axis}: {texts}")


def _draw_series(
    axes: Axes, changes: Sequence[Change], place_of: dict[Row, float], style: tuple[str, str, str]
) -> None:
    label, colour, marker = style
    places = [place_of[change.row] for change in changes]
    lows, highs = [100 * c.low for c in changes], [100 * c.high for c in changes]
    axes.hlines(places, lows, highs, color=colour, linewidth=3, alpha=0.45)
    axes.plot([100 * c.value for c in changes], places, marker, color=colour, markersize=5, label=label)


def _frame(rows: Sequence[Row], axis: str) -> tuple[Figure, Axes]:
    places = _places(rows)
    height = max(LEAST_HEIGHT, (places[-1] + 1 if places else 1) * ROW_HEIGHT + FRAME_HEIGHT)
    figure, (axes,) = new_figure(WIDTH, height)
    axes.set_yticks(places, [row.label for row in rows], fontsize=8.5, color=INK)
    axes.set_ylim((places[-1] if places else 0) + 0.6, -1.5)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(axis)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    for kind, group in groupby(zip(places, rows, strict=True), key=lambda pair: pair[1].kind):
        first = next(group)[0]
        axes.annotate(
            kind, (0, first - 1), (-4, 0), ("axes fraction", "data"), "offset points",
            ha="right", va="center", fontsize=8, fontweight="bold", color=MUTED,
        )  # fmt: skip
    return figure, axes


def _places(rows: Sequence[Row]) -> list[float]:
    """Return one place a row, leaving room above each group for its name."""
    places: list[float] = []
    for position, row in enumerate(rows):
        new_group = position > 0 and row.kind != rows[position - 1].kind
        places.append((places[-1] + 1 if places else 0.0) + (1.4 if new_group else 0.0))
    return places
