"""What is there to gain: what frozen features tell before any training, as table, chart and verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.evaluation.probe import REFERENCE, ProbeRow, ProbeSummary, read_probe
from pipeline.reporting.figures.style import BLUE, INK, MUTED, ORANGE, chart_style, finish_inline, name_rows
from pipeline.reporting.finding import LEVEL
from pipeline.reporting.tables import points

PAIR = ("roi", "extra_roi")
"""The views of RveRNet."""
LABELS = {
    "roi": "ROI",
    "extra_roi": "extra-ROI",
    "whole": "whole photo",
    "context": "box grown by half",
    "inside": "inside the mask",
    "outside": "outside the mask",
    "other_extra_roi": "another photo's extra-ROI",
}
"""Views as the page names them."""
WIDTH, ROW_HEIGHT, FRAME_HEIGHT = 4.8, 0.2, 0.5
"""Inches of a chart."""


class ProbeResults(NamedTuple):
    """One backbone's probe with its chart."""

    summary: ProbeSummary
    chart: Markup
    """Top-1 of every classifier."""
    verdict: str
    """Whether the surroundings add to the ROI, in a sentence."""

    def label(self, row: ProbeRow) -> str:
        """Return what a classifier sees."""
        return label_of(row.views)


def read_probe_results(folder: Path | None, backbones: Sequence[str]) -> tuple[ProbeResults, ...]:
    """Read the outputs of stage `probe`; backbones that were not probed are left out.

    Raises:
        ManifestError: If a file is damaged.
    """
    found = [read_probe(folder / name) for name in backbones if folder is not None and (folder / name).is_dir()]
    return tuple(ProbeResults(summary, probe_chart(summary), verdict_of(summary)) for summary in found)


def label_of(views: Sequence[str]) -> str:
    """Return what a classifier on views side by side sees."""
    return " + ".join(LABELS[view] for view in views)


def verdict_of(summary: ProbeSummary) -> str:
    """Say whether the extra-ROI helps or harms beside the ROI; undecided unless Holm's p of top-1 is below 0.05."""
    rows = {row.views: row for row in summary.rows}
    row = rows[PAIR]
    gain, p = row.gain_top1, row.p_top1
    if gain is None or p is None:
        raise ValueError(f"{PAIR} is not compared with {REFERENCE}")
    text = f"{points(gain.value)} points of top-1 ({points(gain.low)} to {points(gain.high)})"
    if summary.weights is None:
        return f"Random weights, so nothing about food follows; the extra-ROI changes {text}."
    if p < LEVEL:
        return f"The surroundings {'help' if gain.value > 0 else 'harm'}: beside the ROI the extra-ROI adds {text}."
    return f"Undecided: beside the ROI the extra-ROI adds {text}, which other photos might reverse."


def probe_chart(summary: ProbeSummary) -> Markup:
    """Draw a dot with its interval for every classifier; dashed is the ROI alone."""
    rows = summary.rows
    with chart_style():
        figure = Figure(figsize=(WIDTH, FRAME_HEIGHT + ROW_HEIGHT * len(rows)), layout="constrained")
        axes = figure.subplots()
        name_rows(axes, [label_of(row.views) for row in rows])
        axes.axvline(100 * rows[0].top1.value, color=INK, linewidth=0.8, linestyle="--")
        axes.axvline(100 * summary.majority_rate, color=MUTED, linewidth=0.8, linestyle=":")
        for y, row in enumerate(rows):
            colour = ORANGE if row.views[1:] else BLUE
            axes.plot([100 * row.top1.low, 100 * row.top1.high], [y, y], color=colour, linewidth=2)
            axes.plot([100 * row.top1.value], [y], "o", color=colour, markersize=4.5)
        axes.set_xlabel("top-1, %")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        values = "; ".join(f"{label_of(row.views)} {100 * row.top1.value:.1f}" for row in rows)
        return finish_inline(figure, f"probe-{summary.backbone}", f"Dot chart of top-1 in per cent: {values}")
