"""What is there to gain: what frozen features tell before any training, as table, chart and verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from pipeline.evaluation.probe import REFERENCE, ProbeRow, ProbeSummary, read_probe
from pipeline.reporting.figures.charts import dot_chart
from pipeline.reporting.figures.style import BLUE, INK, MUTED, ORANGE
from pipeline.reporting.finding import direction
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
    "same_food_extra_roi": "the same food's extra-ROI in another photo",
}
"""Views as the page names them."""


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
    """Say whether the extra-ROI helps or harms beside the ROI; undecided unless Holm's p of top-1 is at most 0.05."""
    rows = {row.views: row for row in summary.rows}
    row = rows[PAIR]
    gain, p = row.gain_top1, row.p_top1
    if gain is None or p is None:
        raise ValueError(f"{PAIR} is not compared with {REFERENCE}")
    text = f"{points(gain.value)} points of top-1 ({points(gain.low)} to {points(gain.high)})"
    if summary.weights is None:
        return f"Random weights, so nothing about food follows; the extra-ROI changes {text}."
    found = direction(gain.value, p)
    if found == "undecided":
        return f"Undecided: beside the ROI the extra-ROI adds {text}, which other photos might reverse."
    return f"The surroundings {found.removesuffix('s')}: beside the ROI the extra-ROI adds {text}."


def probe_chart(summary: ProbeSummary) -> Markup:
    """Draw a dot with its interval for every classifier; dashed is the ROI alone."""
    rows = summary.rows
    return dot_chart(
        [label_of(row.views) for row in rows],
        [row.top1 for row in rows],
        [ORANGE if row.views[1:] else BLUE for row in rows],
        lines={rows[0].top1.value: (INK, "--"), summary.majority_rate: (MUTED, ":")},
        name=f"probe-{summary.backbone}",
        axis="top-1, %",
    )
