"""Grad-CAM of a backbone alone and paired, on the same samples; Figure 4 of the paper."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from pipeline.arrays import Image
from pipeline.datasets.sample_batch import ViewName
from pipeline.evaluation.heat_maps import COLOURS, HeatGrid, HeatMap, blend_heat
from pipeline.reporting.figures.scenes import SQUARE, SamplePictures, enlarge
from pipeline.reporting.figures.style import WIDTH, PaperFigure, Wording, blank, chart_style, finish, show_picture
from pipeline.reporting.pictures import fit_mask

COLUMNS = 6
VIEW_NAME: dict[ViewName, str] = {"roi": "ROI", "extra_roi": "extra-ROI"}


class HeatRow(NamedTuple):
    """One row of tiles: a branch of a run."""

    label: str
    """Name of the run."""
    branch: ViewName
    maps: Mapping[str, HeatMap]
    """By sample id."""


def rows_of(runs: Sequence[tuple[str, Sequence[HeatMap]]]) -> tuple[HeatRow, ...]:
    """Split the maps of runs, each with its label, into one row a branch."""
    return tuple(
        HeatRow(label, branch, {m.sample_id: m for m in maps if m.branch == branch})
        for label, maps in runs
        for branch in dict.fromkeys(entry.branch for entry in maps)
    )


def choose_columns(rows: Sequence[HeatRow], ambiguous: Sequence[str]) -> tuple[str, ...]:
    """Return the samples to show: those every row has, the ambiguous pair's first and evenly."""
    shared = [i for i in rows[0].maps if all(i in row.maps for row in rows)]
    each = COLUMNS // len(ambiguous) if ambiguous else 0
    pair = [i for name in ambiguous for i in [j for j in shared if rows[0].maps[j].truth == name][:each]]
    return tuple([*pair, *(i for i in shared if i not in pair)][:COLUMNS])


def heat_figure(
    rows: Sequence[HeatRow], sample_ids: Sequence[str], scenes: Mapping[str, SamplePictures], wording: Wording
) -> PaperFigure:
    """Draw photos in the first row and the heat of each branch below.

    Args:
        rows: At least one.
        sample_ids: Samples from left to right.
        scenes: Samples by id.
        wording: Words of the figure.
    """
    with chart_style():
        figure = Figure(figsize=(WIDTH, 1.14 * (len(rows) + 1) + 0.1), layout="constrained")
        grid = figure.subplots(len(rows) + 1, COLUMNS, squeeze=False)
        for axes, sample_id in zip(grid[0], sample_ids, strict=False):
            show_picture(axes, scenes[sample_id].marked(), below=f"GT: {scenes[sample_id].category}")
        grid[0, 0].set_ylabel("photo", fontsize=7.5)
        for line, row in zip(grid[1:], rows, strict=True):
            _draw_row(list(line), row, sample_ids, scenes)
            label = row.label.replace(" + ", " +\n").replace(" alone", "\nalone")
            line[0].set_ylabel(f"{label}\n{VIEW_NAME[row.branch]} branch", fontsize=7)
        for axes in grid[:, len(sample_ids) :].flat:
            blank(axes)
        scale = ScalarMappable(mpl.colors.Normalize(0, 1), COLOURS)
        bar = figure.colorbar(scale, ax=grid[1:].ravel().tolist(), shrink=0.5, aspect=30, pad=0.01, ticks=(0, 1))
        bar.ax.set_yticklabels(["0", "max"])
        bar.set_label("heat", fontsize=7, labelpad=-8)
        bar.outline.set_visible(False)
        return finish(figure, wording)


def _draw_row(
    line: Sequence[Axes], row: HeatRow, sample_ids: Sequence[str], scenes: Mapping[str, SamplePictures]
) -> None:
    for axes, sample_id in zip(line, sample_ids, strict=False):
        found = row.maps[sample_id]
        mark = "✓" if found.prediction == found.truth else "✗"
        cold = "" if found.heat.any() else ", no heat"
        words = f"{mark} {found.prediction} {found.probability:.2f}{cold}"
        show_picture(axes, overlay_heat(scenes[sample_id], row.branch, found.heat), below=words)


def overlay_heat(scene: SamplePictures, branch: ViewName, heat: HeatGrid) -> Image:
    """Return what a branch saw in gray, the heat in colour over it, and the region of interest outlined in white."""
    batch = scene.views
    view = enlarge(batch.roi[0] if branch == "roi" else batch.extra_roi[0])
    side = len(batch.masks[0])
    return blend_heat(view, fit_mask(batch.masks[0], (0, 0, side, side), (SQUARE, SQUARE)), heat)
