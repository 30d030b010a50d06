"""Charts of numbers: Figures 6, 8, 9 and 10 of the paper, and the charts of the page."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, groupby, pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from pipeline.datasets.statistics import CategoryCount
from pipeline.evaluation.bootstrap import Interval, StoredInterval
from pipeline.evaluation.metrics import EpochRecord
from pipeline.params.run_name import ABSENT
from pipeline.reporting.figures.style import (
    BLUE,
    GRAY,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    WIDTH,
    chart_style,
    finish_inline,
    name_rows,
)
from pipeline.reporting.grid import KINDS, GridRun, Kind, name_of
from pipeline.reporting.paper.published import TARGETS
from pipeline.reporting.summary import RunSummary, StudySummary
from pipeline.runtime.console import progress

CurveSplit: TypeAlias = Literal["validation", "test"]  # what learning curves show beside train

PANEL = (2.3, 2.4)  # inches of a panel of the page
COLOURS = (ORANGE, GREEN, BLUE, PURPLE, GRAY)
DASHES: dict[Kind, tuple[float, Sequence[float]]] = {
    "two branches": (0, (1, 0)),
    "ROI only": (0, (4, 1.5)),
    "extra-ROI only": (0, (1, 1.5)),
}
KIND_COLOUR = dict(zip(KINDS, (BLUE, ORANGE, GREEN, PURPLE, SKY, GRAY), strict=True))
COIN = 0.5  # accuracy of a coin toss on two classes
GAP = 1.2  # rows between groups
CHART_WIDTH = 4.2  # inches of a chart with one panel, in the page
SMALL = 40  # per cent up to which a single panel's axis ends at its longest bar instead of 100


def epoch_figure(histories: Mapping[GridRun, Sequence[EpochRecord]], split: CurveSplit) -> Figure:
    """Draw one line per run whose branches share one backbone: its colour and marker, the branches' dashes."""
    # runs whose branches have the same backbone, or that have one branch
    backbone_of = {run: run.extra_roi if run.roi == ABSENT else run.roi for run in histories}
    backbones = list(dict.fromkeys(backbone_of.values()))
    styles: list[dict[str, Any]] = [{"color": c, "marker": m} for c, m in zip(COLOURS, "s^oDv", strict=True)]
    style_of = dict(zip(backbones, cycle(styles), strict=False))
    panels = [(f"{split}_macro_f1", f"macro F1, whole {split} split")]
    if split == "test":
        panels.append(("test_ambiguous_f1", "F1, ambiguous pair"))
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    for axes, (column, title) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        drawn = []
        for run, epochs in histories.items():
            number, every = backbones.index(backbone_of[run]), max(1, len(epochs) // 5)
            style = style_of[backbone_of[run]] | {"linestyle": DASHES[run.kind], "markevery": (number % every, every)}
            drawn.append(_draw_line(axes, epochs, column, markersize=3.2, **style))
        if not any(drawn):
            axes.text(0.5, 0.5, "no samples", transform=axes.transAxes, ha="center", va="center")
        axes.set(xlabel="epoch", ylabel=title, ylim=(0, 1))
        axes.grid(visible=True)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    handles = [Line2D([], [], markersize=4, linewidth=0, label=name_of(b), **style) for b, style in style_of.items()]
    handles += [Line2D([], [], color=INK, linestyle=dashes, label=kind) for kind, dashes in DASHES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(len(backbones), len(DASHES)))
    return figure


def curve_split(histories: Iterable[Sequence[EpochRecord]]) -> CurveSplit:
    """Return the split that learning curves show: test where all runs have test curves, else validation."""
    return "test" if all(epochs[-1].test_loss is not None for epochs in histories) else "validation"


def _draw_line(axes: Axes, epochs: Sequence[EpochRecord], column: str, **style: Any) -> bool:
    """Draw a line of the epochs that have a value; return whether there is one."""
    values = [(epoch.epoch, getattr(epoch, column)) for epoch in epochs if getattr(epoch, column) is not None]
    if values:
        axes.plot(*zip(*values, strict=True), linewidth=1.3, **style)
    return bool(values)


def curve_panel(
    epochs: Sequence[EpochRecord], split: CurveSplit, *, name: str, title: str, highest_loss: float
) -> Markup:
    """Draw F1 of a split above its losses and those of train, by epoch; there is at least one.

    `name` is the prefix of the element ids; `highest_loss` is the upper end of the loss axis, the same for all runs.
    """
    last = epochs[-1]
    with chart_style():
        figure = Figure(figsize=PANEL, layout="constrained")
        above, below = figure.subplots(2, sharex=True)
        _draw_line(above, epochs, f"{split}_macro_f1", color=BLUE)
        if split == "test":
            _draw_line(above, epochs, "test_ambiguous_f1", color=ORANGE, linestyle="--")
        above.set(ylim=(0, 1.03), ylabel="F1", yticks=(0, 0.5, 1))
        _draw_line(below, epochs, "train_loss", color=GRAY)
        _draw_line(below, epochs, f"{split}_loss", color=PURPLE, linestyle="--")
        above.grid(visible=True)
        below.grid(visible=True)
        below.set(ylim=(0, highest_loss), ylabel="loss", xlabel="epoch", xlim=(min(1, last.epoch - 1), last.epoch))
        below.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        figure.align_ylabels()
        shown = {
            f"macro F1 on the {split} split": getattr(last, f"{split}_macro_f1"),
            "F1 of the ambiguous pair": last.test_ambiguous_f1 if split == "test" else None,
            "train loss": last.train_loss,
            f"{split} loss": getattr(last, f"{split}_loss"),
        }
        said = ", ".join(f"{what} {value:.2f}" for what, value in shown.items() if value is not None)
        return finish_inline(figure, name, f"Learning curves of {title}: after epoch {last.epoch} {said}")


def curve_panels(
    summary: StudySummary, histories: Mapping[str, Sequence[EpochRecord]], split: CurveSplit
) -> dict[str, Markup]:
    """Return the learning curves by run; `histories`, too, are by run, and all panels have the same axis of losses."""
    highest = highest_loss(histories.values())
    bar = progress(summary.runs.items(), total=len(summary.runs), what="learning curves", unit="run")
    return {
        run: curve_panel(histories[run], split, name=f"curve{number}", title=result.run.label, highest_loss=highest)
        for number, (run, result) in enumerate(bar)
    }


def highest_loss(histories: Iterable[Sequence[EpochRecord]]) -> float:
    """Return the upper end of a loss axis that shows every run but cuts off rare explosions."""
    losses = (loss for epochs in histories for e in epochs for loss in (e.train_loss, e.validation_loss, e.test_loss))
    finite = sorted(loss for loss in losses if loss is not None and math.isfinite(loss))
    return 1.05 * finite[int(0.99 * (len(finite) - 1))] if finite else 1.0


class ChartRow(NamedTuple):
    """One run of a chart; runs of a kind are consecutive."""

    label: str
    kind: Kind


class ChartValue(NamedTuple):
    """A share or a difference of shares with the ends of its line, equal to the value where it has none."""

    row: ChartRow
    value: float | None
    low: float
    high: float
    series: str = ""


class BarPanel(NamedTuple):
    """One column of bars with the label of its axis, the same runs in every panel."""

    axis: str
    values: tuple[ChartValue, ...]
    reference: float | None  # level to compare with, in [0, 1]


def by_kind(summary: StudySummary) -> tuple[RunSummary, ...]:
    """Return the runs grouped by kind, each group in the paper's order, a variant outside the paper last."""
    return tuple(sorted(summary.runs.values(), key=lambda result: KINDS.index(result.run.kind)))


def row_of(run: GridRun, variant: str | None) -> ChartRow:
    """Return the label of a run; a star marks the variant."""
    return ChartRow(f"★ {run.label}" if run.name == variant else run.label, run.kind)


def bar_panel(summary: StudySummary, column: str, axis: str, reference: float | None = None) -> BarPanel:
    """Return one field of all runs' results, with its interval where the summary has one."""
    bars = []
    for found in by_kind(summary):
        value = getattr(found, column)
        ends = getattr(found, f"{column}_interval", None) or (value or 0.0,) * 2
        bars.append(ChartValue(row_of(found.run, summary.variant), value, *ends))
    return BarPanel(axis, tuple(bars), reference)


def top1_changes(summary: StudySummary) -> tuple[list[ChartValue], list[ChartValue]]:
    """Return the changes of every run by permuted branch, with the range over seeds, and by translocation."""
    permuted, moved = [], []
    for result in by_kind(summary):
        row = row_of(result.run, summary.variant)
        for entry in result.permutations:
            low, high = (entry.change_top1 + (end - entry.top1) for end in (entry.lowest_top1, entry.highest_top1))
            permuted.append(ChartValue(row, entry.change_top1, low, high, TARGETS[entry.target]))
        for move in result.translocations:
            change = move.change_top1
            moved.append(ChartValue(row, change, change, change, f"({move.dx}, {move.dy})"))
    return permuted, moved


def bar_chart(panel: BarPanel, name: str) -> Markup:
    """Draw one panel of bars for the page; `name` is the prefix of the element ids."""
    values = "; ".join(f"{s.row.label} {100 * s.value:.1f}" for s in panel.values if s.value is not None)
    with chart_style():
        return finish_inline(bar_figure([panel], CHART_WIDTH), name, f"Bar chart, {panel.axis}: {values}")


def bar_figure(panels: Sequence[BarPanel], width: float = WIDTH) -> Figure:
    """Draw bars with intervals: runs from top to bottom, one panel per number."""
    rows = [share.row for share in panels[0].values]
    figure, places = _rows_figure(rows, width)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for number, (axes, panel) in enumerate(zip(all_axes, panels, strict=True)):
        for place, bar in zip(places, panel.values, strict=True):
            if bar.value is None:
                axes.text(1, place, "does not apply", color=MUTED, fontsize=6, va="center")
                continue
            axes.barh(place, 100 * bar.value, height=0.72, color=KIND_COLOUR[bar.row.kind])
            axes.plot([100 * bar.low, 100 * bar.high], [place, place], color=INK, linewidth=1.2, solid_capstyle="butt")
            axes.annotate(
                f"{100 * bar.value:.1f}", (100 * bar.high, place), (3, 0), "data", "offset points",
                fontsize=6, va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
        if panel.reference is not None:
            axes.axvline(100 * panel.reference, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        ends = [100 * bar.high for bar in panel.values if bar.value is not None]
        small = len(panels) == 1 and 0 < max(ends, default=100) <= SMALL
        axes.set(xlim=(0, 1.18 * (max(ends) if small else 100)), xlabel=panel.axis)  # room for the longest bar's number
        axes.xaxis.set_major_locator(MaxNLocator(5) if small else FixedLocator(range(0, 101, 25)))
        _name_rows(axes, rows, places, named=number == 0)
    return figure


def change_figure(changes: Sequence[ChartValue]) -> Figure:
    """Draw differences to the unperturbed pass as markers, with the range over seeds; runs from top to bottom."""
    rows = list(dict.fromkeys(change.row for change in changes))
    figure, places = _rows_figure(rows, WIDTH, above=0.1)
    place_of = dict(zip(rows, places, strict=True))
    axes = figure.subplots()
    names = dict.fromkeys(change.series for change in changes)
    for name, (colour, marker) in zip(names, cycle(zip(COLOURS, "osD^v", strict=True)), strict=False):
        own = [change for change in changes if change.series == name]
        y, low, high = [place_of[c.row] for c in own], [100 * c.low for c in own], [100 * c.high for c in own]
        axes.hlines(y, low, high, color=colour, linewidth=2.2, alpha=0.45)
        axes.plot(
            [100 * c.value for c in own if c.value is not None], y, marker, color=colour, markersize=3.6, label=name
        )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("change of top-1, percentage points")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(visible=True, axis="x")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, handletextpad=0.1, columnspacing=1)
    _name_rows(axes, rows, places, named=True)
    return figure


def _rows_figure(rows: Sequence[ChartRow], width: float, above: float = 0.0) -> tuple[Figure, list[float]]:
    """Return a figure of that height, and the y position of every row, with room above each group for its name."""
    places = [0.0]
    for before, row in pairwise(rows):
        places.append(places[-1] + 1 + (GAP if row.kind != before.kind else 0.0))
    return Figure(figsize=(width, (places[-1] + 2) * 0.165 + 0.75 + above), layout="constrained"), places


def _name_rows(axes: Axes, rows: Sequence[ChartRow], places: Sequence[float], *, named: bool) -> None:
    axes.set_ylim(places[-1] + 0.7, -1.6)
    axes.set_yticks(places, [row.label for row in rows])
    axes.spines["left"].set_visible(False)
    for kind, group in groupby(zip(places, rows, strict=True), key=lambda pair: pair[1].kind) if named else ():
        axes.annotate(
            kind, (0, next(group)[0] - 1), (-3, 0), ("axes fraction", "data"), "offset points",
            ha="right", va="center", fontsize=7, fontweight="bold", color=MUTED,
        )  # fmt: skip


def dot_chart(  # noqa: PLR0913 - rows, and how to show them
    labels: Sequence[str],
    intervals: Sequence[Interval | StoredInterval],
    colours: Sequence[str],
    *,
    lines: Mapping[float, tuple[str, str]],
    name: str,
    axis: str,
    digits: str = ".1f",
) -> Markup:
    """Draw a dot with its interval in each row, times 100, and vertical lines: colour and dashes by value.

    `name` is the prefix of the element ids, `digits` how the description writes a value.
    """
    with chart_style():
        figure = Figure(figsize=(4.8, 0.5 + 0.2 * len(labels)), layout="constrained")
        axes = figure.subplots()
        name_rows(axes, labels)
        for value, (colour, dashes) in lines.items():
            axes.axvline(100 * value, color=colour, linewidth=0.8, linestyle=dashes)
        for y, (interval, colour) in enumerate(zip(intervals, colours, strict=True)):
            axes.plot([100 * interval.low, 100 * interval.high], [y, y], color=colour, linewidth=2)
            axes.plot([100 * interval.value], [y], "o", color=colour, markersize=4.5)
        axes.set_xlabel(axis)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        said = (f"{label} {100 * found.value:{digits}}" for label, found in zip(labels, intervals, strict=True))
        return finish_inline(figure, name, f"Dot chart, {axis}: {'; '.join(said)}")


def counts_chart(categories: Sequence[CategoryCount], ambiguous: Sequence[str], *, name: str) -> Markup:
    """Draw the samples of every category by split that has some, most frequent first; the ambiguous pair is in bold."""
    colours = {"train": BLUE, "validation": PURPLE, "test": ORANGE}
    splits = [split for split in colours if split != "validation" or any(c.validation for c in categories)]
    ordered = sorted(categories, key=lambda c: (-c.train - c.validation - c.test, c.target))
    step = 0.8 / len(splits)
    with chart_style():
        figure = Figure(figsize=(CHART_WIDTH, 0.1 * len(splits) * len(ordered) + 0.6), layout="constrained")
        axes = figure.subplots()
        for number, split in enumerate(splits):
            places = [row + step * (number - (len(splits) - 1) / 2) for row in range(len(ordered))]
            counts = [getattr(c, split) for c in ordered]
            axes.barh(places, counts, height=0.9 * step, color=colours[split], label=split)
        name_rows(axes, [c.name for c in ordered])
        for label, category in zip(axes.get_yticklabels(), ordered, strict=True):
            label.set_fontweight("bold" if category.name in ambiguous else "normal")
        axes.set_xlabel("samples")
        figure.legend(loc="outside upper right", ncols=len(splits))
        said = "; ".join(f"{c.name} {', '.join(str(getattr(c, split)) for split in splits)}" for c in ordered)
        return finish_inline(figure, name, f"Bar chart of samples by category, {', '.join(splits)}: {said}")
