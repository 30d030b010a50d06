"""Figures that show photos: where two classifiers disagree (3, 5), Grad-CAM (4), perturbed samples (7)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from pipeline.arrays import Image
from pipeline.datasets.sample_batch import SampleBatch, ViewName
from pipeline.evaluation.heat_maps import COLOURS, HeatGrid, HeatMap, blend_heat
from pipeline.evaluation.perturbation import (
    Canvases,
    Permutation,
    Perturbation,
    kept_shares,
    perturb_canvases,
    region_sizes,
    translocation,
)
from pipeline.evaluation.predictions import PredictionTable
from pipeline.imaging.letterbox import Rect
from pipeline.params.stages import PerturbParams
from pipeline.reporting.figures.style import (
    GRAY,
    INK,
    LINE,
    ORANGE,
    SKY,
    WIDTH,
    FigureText,
    PaperFigure,
    blank,
    chart_style,
    finish,
    show_picture,
)
from pipeline.reporting.finding import correctness_of
from pipeline.reporting.pictures import SQUARE, SamplePictures, enlarge, fit_mask
from pipeline.reporting.samples import categories_of, choose_ids

EXAMPLES = 5
"""Examples of each direction of a disagreement."""
LINE_LENGTH = 30
"""Characters that fit under an example."""
COLUMNS = 6
"""Samples of Figure 4."""
BRANCH_NAME: dict[ViewName, str] = {"roi": "ROI", "extra_roi": "extra-ROI"}


class FigureClassifier(NamedTuple):
    """One side of a comparison."""

    label: str
    """Name in running text."""
    short: str
    """Name under an example."""
    table: PredictionTable


class Disagreement(NamedTuple):
    """Samples by which of two classifiers is right."""

    first: FigureClassifier
    second: FigureClassifier
    both: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    neither: tuple[str, ...]
    shown: tuple[tuple[str, ...], tuple[str, ...]]
    """Examples that only the first, and only the second, predicts correctly."""

    @property
    def samples(self) -> int:
        """Number of samples compared."""
        return len(self.both) + len(self.only_first) + len(self.only_second) + len(self.neither)

    def counts_text(self) -> str:
        """Return the four counts in words."""
        return (
            f"of {self.samples:,} samples both are right in {len(self.both):,}, only {self.first.label} in "
            f"{len(self.only_first):,}, only {self.second.label} in {len(self.only_second):,}, neither in "
            f"{len(self.neither):,}"
        )


def find_disagreement(
    first: FigureClassifier, second: FigureClassifier, ambiguous: Sequence[str], seed: int
) -> Disagreement:
    """Compare two classifiers on the samples they share.

    Args:
        first: One classifier.
        second: The other.
        ambiguous: Names of the pair to compare on; all samples where there are none.
        seed: Seed of the choice of examples.
    """
    correct = [correctness_of(classifier.table, ambiguous) for classifier in (first, second)]
    shared = [sample_id for sample_id in correct[0] if sample_id in correct[1]]
    both, only_first, only_second, neither = (
        tuple(i for i in shared if (correct[0][i], correct[1][i]) == outcome)
        for outcome in ((True, True), (True, False), (False, True), (False, False))
    )
    category_of = categories_of(first.table)
    shown = tuple(choose_ids(ids, category_of, EXAMPLES, seed) for ids in (only_first, only_second))
    return Disagreement(first, second, both, only_first, only_second, neither, (shown[0], shown[1]))


def disagreement_figure(found: Disagreement, samples: Mapping[str, SamplePictures], text: FigureText) -> PaperFigure:
    """Draw the counts as one bar, and below it examples of both directions.

    Args:
        found: Comparison.
        samples: Pictures by sample id, at least of the shown ones.
        text: Title, caption and alternative text.
    """
    with chart_style():
        figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
        bar, first, second = figure.subfigures(3, 1, height_ratios=(0.5, 2, 2), hspace=0, squeeze=False)[:, 0]
        parts = (
            ("both right", len(found.both), LINE, ""),
            (f"only {found.first.label}", len(found.only_first), SKY, "////"),
            (f"only {found.second.label}", len(found.only_second), ORANGE, "...."),
            ("neither", len(found.neither), GRAY, ""),
        )
        axes, left = bar.subplots(), 0
        for label, count, colour, hatch in parts:
            axes.barh(0, count, left=left, height=0.8, color=colour, hatch=hatch, edgecolor="white", label=label)
            left += count
        axes.set(xlim=(0, max(found.samples, 1)), ylim=(-0.5, 0.5))
        blank(axes)
        handles, labels = axes.get_legend_handles_labels()
        texts = [f"{label}: {count:,}" for label, (_, count, *_) in zip(labels, parts, strict=True)]
        axes.legend(handles, texts, loc="lower center", bbox_to_anchor=(0.5, 0.95), ncols=4, handlelength=1.6)
        sides = ((first, "(a)", found.first, found.shown[0]), (second, "(b)", found.second, found.shown[1]))
        for part, letter, winner, ids in sides:
            part.suptitle(f"{letter} only {winner.label} is right", x=0.01, ha="left", fontsize=8, fontweight="bold")
            row = list(part.subplots(1, EXAMPLES, squeeze=False)[0])
            for axes, sample_id in zip(row, ids, strict=False):
                show_picture(axes, samples[sample_id].marked(), below=_predictions_text(found, sample_id))
                axes.set_anchor("N")  # close to the heading it belongs to
            for axes in row[len(ids) :]:
                blank(axes)
            if not ids:
                row[0].text(0, 0.5, "no such sample", fontsize=8, color=INK, transform=row[0].transAxes)
        return finish(figure, text)


def _predictions_text(found: Disagreement, sample_id: str) -> str:
    """Return the true category and what both classifiers predict, a line each."""
    target = found.first.table.targets[found.first.table.sample_ids.index(sample_id)]
    lines = [f"GT: {found.first.table.class_names[target]}"]
    for _, short, table in (found.first, found.second):
        row = table.sample_ids.index(sample_id)
        mark = "✓" if table.predictions[row] == table.targets[row] else "✗"
        lines.append(f"{mark} {short}: {table.class_names[table.predictions[row]]}")
    return "\n".join(line if len(line) <= LINE_LENGTH else f"{line[: LINE_LENGTH - 1]}…" for line in lines)


class HeatRow(NamedTuple):
    """One row of Figure 4: a branch of a run."""

    label: str
    """Name of the run."""
    branch: ViewName
    maps: Mapping[str, HeatMap]
    """By sample id."""


def rows_of(runs: Sequence[tuple[str, Sequence[HeatMap]]]) -> tuple[HeatRow, ...]:
    """Split the maps of runs, each with its label, into one row per branch."""
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
    rows: Sequence[HeatRow], sample_ids: Sequence[str], samples: Mapping[str, SamplePictures], text: FigureText
) -> PaperFigure:
    """Draw photos in the first row and the heat of each branch below.

    Args:
        rows: At least one.
        sample_ids: Samples from left to right.
        samples: Pictures by sample id.
        text: Title, caption and alternative text.
    """
    with chart_style():
        figure = Figure(figsize=(WIDTH, 1.14 * (len(rows) + 1) + 0.1), layout="constrained")
        grid = figure.subplots(len(rows) + 1, COLUMNS, squeeze=False)
        for axes, sample_id in zip(grid[0], sample_ids, strict=False):
            show_picture(axes, samples[sample_id].marked(), below=f"GT: {samples[sample_id].sample.category}")
        grid[0, 0].set_ylabel("photo", fontsize=7.5)
        for line, row in zip(grid[1:], rows, strict=True):
            for axes, sample_id in zip(line, sample_ids, strict=False):
                found = row.maps[sample_id]
                mark, cold = "✓" if found.prediction == found.truth else "✗", "" if found.heat.any() else ", no heat"
                below = f"{mark} {found.prediction} {found.probability:.2f}{cold}"
                show_picture(axes, overlay_heat(samples[sample_id], row.branch, found.heat), below=below)
            label = row.label.replace(" + ", " +\n").replace(" alone", "\nalone")
            line[0].set_ylabel(f"{label}\n{BRANCH_NAME[row.branch]} branch", fontsize=7)
        for axes in grid[:, len(sample_ids) :].flat:
            blank(axes)
        scale = ScalarMappable(mpl.colors.Normalize(0, 1), COLOURS)
        bar = figure.colorbar(scale, ax=grid[1:].ravel().tolist(), shrink=0.5, aspect=30, pad=0.01, ticks=(0, 1))
        bar.ax.set_yticklabels(["0", "max"])
        bar.set_label("heat", fontsize=7, labelpad=-8)
        bar.outline.set_visible(False)
        return finish(figure, text)


def overlay_heat(sample: SamplePictures, branch: ViewName, heat: HeatGrid) -> Image:
    """Return a branch's input in gray, the heat in colour over it, and the region of interest outlined in white."""
    batch = sample.views
    view = enlarge(batch.roi[0] if branch == "roi" else batch.extra_roi[0])
    side = len(batch.masks[0])
    return blend_heat(view, fit_mask(batch.masks[0], (0, 0, side, side), (SQUARE, SQUARE)), heat)


class PerturbedView(NamedTuple):
    """A cut-out under one perturbation."""

    title: str
    image: Image
    kept: float | None
    """Share in [0, 1] of the photo's pixels still in the picture; None without a perturbation."""


def perturbed_views(views: SampleBatch, params: PerturbParams) -> tuple[PerturbedView, ...]:
    """Return the inputs of the branches for the single sample `views`, perturbed as by stage `perturb`."""
    permutation = Permutation(params.patch_size, params.seed, 0)
    levels = photo_levels(views)

    def view(title: str, branch: ViewName, perturbation: Perturbation | None = None) -> PerturbedView:
        images = views.roi if branch == "roi" else views.extra_roi
        if perturbation is None:
            return PerturbedView(title, images[0], None)
        perturbed = perturb_canvases(perturbation, images, views, branch=branch, background=params.pad)
        after = perturb_canvases(perturbation, levels, views, branch=branch, background=0)
        kept = kept_shares(region_sizes(levels), region_sizes(after))[0, 0]
        return PerturbedView(title, perturbed[0], float(kept))

    moves = (((dx, dy), translocation((dx, dy), params, views.roi.shape[1])) for dx, dy in params.offsets)
    return (
        view("ROI", "roi"),
        view("ROI\npermuted", "roi", permutation),
        view("extra-ROI", "extra_roi"),
        view("extra-ROI\npermuted", "extra_roi", permutation),
        *(view(f"moved by\n({dx}, {dy})", "extra_roi", move) for (dx, dy), move in moves),
    )


def photo_levels(views: SampleBatch) -> Canvases:
    """Return one channel: 2 inside the ROI, 1 on the rest of the photo, 0 around it."""
    levels = np.zeros((*views.masks.shape, 1), np.uint8)
    for level, mask, place in zip(levels, views.masks, views.rects.tolist(), strict=True):
        inside = Rect(*place).inside
        level[inside] = 1 + mask[inside][..., np.newaxis]
    return levels


def perturbation_figure(samples: Sequence[SamplePictures], params: PerturbParams, text: FigureText) -> PaperFigure:
    """Draw one row per sample, at least one: photo, ROI and extra-ROI, plain, permuted and moved."""
    with chart_style():
        figure = Figure(figsize=(WIDTH, 1.0 * len(samples) + 0.3), layout="constrained")
        grid = figure.subplots(len(samples), 5 + len(params.offsets), squeeze=False)
        for number, (line, sample) in enumerate(zip(grid, samples, strict=True)):
            show_picture(line[0], sample.marked(), below=sample.sample.category)
            views = perturbed_views(sample.views, params)
            for axes, view in zip(line[1:], views, strict=True):
                show_picture(
                    axes, enlarge(view.image), below="" if view.kept is None else f"{100 * view.kept:.0f} % kept"
                )
            if number == 0:
                for axes, title in zip(line, ("photo", *(view.title for view in views)), strict=True):
                    axes.set_title(title, fontsize=7)
        return finish(figure, text)
