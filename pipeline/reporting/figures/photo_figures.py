"""Figures that show photos: where two classifiers disagree (3, 5), Grad-CAM (4), perturbed samples (7)."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from pipeline.arrays import Image
from pipeline.datasets.sample_batch import InputName, SampleBatch, ViewName
from pipeline.evaluation import perturbation
from pipeline.evaluation.heat_maps import COLOURS, HeatGrid, HeatMap, blend_heat
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.stages import PerturbParams
from pipeline.reporting.figures.style import GRAY, INK, LINE, ORANGE, SKY, WIDTH, show_picture
from pipeline.reporting.finding import correctness_of
from pipeline.reporting.samples import SQUARE, SamplePictures, categories_of, choose_ids, enlarge, fit_mask

EXAMPLES = 5  # examples of each direction of a disagreement
LINE_LENGTH = 30  # characters that fit under an example
COLUMNS = 6  # samples of Figure 4


class FigureClassifier(NamedTuple):
    """One side of a comparison: its name in running text, and under an example."""

    label: str
    short: str
    table: PredictionTable


class Disagreement(NamedTuple):
    """How two classifiers compare on the samples they share."""

    classifiers: tuple[FigureClassifier, FigureClassifier]
    counts: tuple[int, ...]  # samples that both, only the first, only the second or neither predicts correctly
    shown: tuple[tuple[str, ...], ...]  # examples that only the first, and only the second, predicts correctly


def find_disagreement(
    classifiers: tuple[FigureClassifier, FigureClassifier], ambiguous: Sequence[str], seed: int
) -> Disagreement:
    """Compare two classifiers on the samples they share, of the pair if there is one; `seed` chooses the examples."""
    one, other = (correctness_of(classifier.table, ambiguous) for classifier in classifiers)
    outcomes = [
        [i for i, right in one.items() if i in other and (right, other[i]) == wanted]
        for wanted in product((True, False), repeat=2)
    ]
    category_of = categories_of(classifiers[0].table)
    shown = tuple(choose_ids(ids, category_of, EXAMPLES, seed) for ids in outcomes[1:3])
    return Disagreement(classifiers, tuple(map(len, outcomes)), shown)


def disagreement_figure(found: Disagreement, samples: Mapping[str, SamplePictures]) -> Figure:
    """Draw the counts as one bar, and below it examples of both directions; `samples` are pictures by sample id."""
    figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
    bar, *parts = figure.subfigures(3, 1, height_ratios=(0.5, 2, 2), hspace=0, squeeze=False)[:, 0]
    names = ("both right", *(f"only {classifier.label}" for classifier in found.classifiers), "neither")
    looks = ((LINE, ""), (SKY, "////"), (ORANGE, "...."), (GRAY, ""))
    axes, left = bar.subplots(), 0
    for name, count, (colour, hatch) in zip(names, found.counts, looks, strict=True):
        label = f"{name}: {count:,}"
        axes.barh(0, count, left=left, height=0.8, color=colour, hatch=hatch, edgecolor="white", label=label)
        left += count
    axes.set(xlim=(0, max(left, 1)), ylim=(-0.5, 0.5))
    axes.set_axis_off()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.95), ncols=4, handlelength=1.6)
    for part, letter, winner, ids in zip(parts, "ab", found.classifiers, found.shown, strict=True):
        part.suptitle(f"({letter}) only {winner.label} is right", x=0.01, ha="left", fontsize=8, fontweight="bold")
        row = list(part.subplots(1, EXAMPLES, squeeze=False)[0])
        for axes, sample_id in zip(row, ids, strict=False):
            show_picture(axes, samples[sample_id].marked(), _predictions_text(found, sample_id))
            axes.set_anchor("N")  # close to the heading it belongs to
        for axes in row[len(ids) :]:
            axes.set_axis_off()
        if not ids:
            row[0].text(0, 0.5, "no such sample", fontsize=8, color=INK, transform=row[0].transAxes)
    return figure


def _predictions_text(found: Disagreement, sample_id: str) -> str:
    """Return the true category and what both classifiers predict, a line each."""
    lines = [f"GT: {categories_of(found.classifiers[0].table)[sample_id]}"]
    for _, short, table in found.classifiers:
        row = table.sample_ids.index(sample_id)
        mark = "✓" if table.predictions[row] == table.targets[row] else "✗"
        lines.append(f"{mark} {short}: {table.class_names[table.predictions[row]]}")
    return "\n".join(line if len(line) <= LINE_LENGTH else f"{line[: LINE_LENGTH - 1]}…" for line in lines)


BRANCH_NAME: dict[InputName, str] = {"roi": "ROI branch", "extra_roi": "extra-ROI branch", "photo": "photo and mask"}


class HeatRow(NamedTuple):
    """One row of Figure 4: a branch of a run."""

    label: str
    branch: InputName
    maps: Mapping[str, HeatMap]  # by sample id


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


def heat_figure(rows: Sequence[HeatRow], sample_ids: Sequence[str], samples: Mapping[str, SamplePictures]) -> Figure:
    """Draw photos from left to right in the first row, and the heat of each branch below."""
    figure = Figure(figsize=(WIDTH, 1.14 * (len(rows) + 1) + 0.1), layout="constrained")
    grid = figure.subplots(len(rows) + 1, COLUMNS, squeeze=False)
    for axes, sample_id in zip(grid[0], sample_ids, strict=False):
        show_picture(axes, samples[sample_id].marked(), f"GT: {samples[sample_id].sample.category}")
    grid[0, 0].set_ylabel("photo", fontsize=7.5)
    for line, row in zip(grid[1:], rows, strict=True):
        for axes, sample_id in zip(line, sample_ids, strict=False):
            found = row.maps[sample_id]
            mark, cold = "✓" if found.prediction == found.truth else "✗", "" if found.heat.any() else ", no heat"
            below = f"{mark} {found.prediction} {found.probability:.2f}{cold}"
            show_picture(axes, overlay_heat(samples[sample_id], row.branch, found.heat), below)
        label = row.label.replace(" + ", " +\n").replace(" alone", "\nalone")
        line[0].set_ylabel(f"{label}\n{BRANCH_NAME[row.branch]}", fontsize=7)
    for axes in grid[:, len(sample_ids) :].flat:
        axes.set_axis_off()
    scale = ScalarMappable(mpl.colors.Normalize(0, 1), COLOURS)
    bar = figure.colorbar(scale, ax=grid[1:].ravel().tolist(), shrink=0.5, aspect=30, pad=0.01, ticks=(0, 1))
    bar.ax.set_yticklabels(["0", "max"])
    bar.set_label("heat", fontsize=7, labelpad=-8)
    bar.outline.set_visible(False)
    return figure


def overlay_heat(sample: SamplePictures, branch: InputName, heat: HeatGrid) -> Image:
    """Return a branch's input in gray, the heat in colour over it, and the region of interest outlined in white."""
    batch = sample.views
    view = enlarge(getattr(batch, branch)[0, ..., :3])
    side = len(batch.masks[0])
    return blend_heat(view, fit_mask(batch.masks[0], (0, 0, side, side), (SQUARE, SQUARE)), heat)


class PerturbedView(NamedTuple):
    """A cut-out under one perturbation, and the share in [0, 1] of the photo's pixels that is still in it."""

    title: str
    image: Image
    kept: float | None


def perturbed_views(views: SampleBatch, params: PerturbParams) -> tuple[PerturbedView, ...]:
    """Return the inputs of the branches for the single sample `views`, perturbed as by stage `perturb`."""
    permutation = perturbation.Permutation(params.patch_size, params.seed, 0)

    def view(title: str, branch: ViewName, applied: perturbation.Perturbation | None = None) -> PerturbedView:
        images = getattr(views, branch)
        if applied is None:
            return PerturbedView(title, images[0], None)
        perturbed = perturbation.perturb_canvases(applied, images, views, branch=branch, background=params.pad)
        kept = perturbation.view_shares(views, branch, [applied])[branch, applied]
        return PerturbedView(title, perturbed[0], float(kept[0, 0]))

    moves = (((dx, dy), perturbation.translocation((dx, dy), params, views.roi.shape[1])) for dx, dy in params.offsets)
    return (
        view("ROI", "roi"),
        view("ROI\npermuted", "roi", permutation),
        view("extra-ROI", "extra_roi"),
        view("extra-ROI\npermuted", "extra_roi", permutation),
        *(view(f"moved by\n({dx}, {dy})", "extra_roi", move) for (dx, dy), move in moves),
    )


def perturbation_figure(
    sample_ids: Sequence[str], params: PerturbParams, samples: Mapping[str, SamplePictures]
) -> Figure:
    """Draw one row per sample, at least one: photo, ROI and extra-ROI, plain, permuted and moved."""
    figure = Figure(figsize=(WIDTH, 1.0 * len(sample_ids) + 0.3), layout="constrained")
    grid = figure.subplots(len(sample_ids), 5 + len(params.offsets), squeeze=False)
    for number, (line, sample_id) in enumerate(zip(grid, sample_ids, strict=True)):
        sample = samples[sample_id]
        show_picture(line[0], sample.marked(), sample.sample.category)
        views = perturbed_views(sample.views, params)
        for axes, view in zip(line[1:], views, strict=True):
            show_picture(axes, enlarge(view.image), "" if view.kept is None else f"{100 * view.kept:.0f} % kept")
        for axes, title in zip(line, ("photo", *(view.title for view in views)), strict=True):
            axes.set_title("" if number else title, fontsize=7)
    return figure
