"""What permutation and translocation make of sample photos; Figure 7 of the paper."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from pipeline.arrays import Image
from pipeline.datasets.sample_batch import SampleBatch, ViewName
from pipeline.evaluation.perturbation import (
    Canvases,
    Permutation,
    Perturbation,
    kept_shares,
    perturb_canvases,
    region_sizes,
    translocation,
)
from pipeline.imaging.letterbox import Rect
from pipeline.params.stages import PerturbParams
from pipeline.reporting.figures.scenes import SamplePictures, enlarge
from pipeline.reporting.figures.style import WIDTH, PaperFigure, Wording, chart_style, finish, show_picture


class PerturbedView(NamedTuple):
    """One tile: a cut-out under one perturbation."""

    title: str
    image: Image
    kept: float | None
    """Share in [0, 1] of the photo's pixels still in the picture; None where nothing was done."""


def perturbed_views(views: SampleBatch, params: PerturbParams) -> tuple[PerturbedView, ...]:
    """Return the tiles of one sample, as stage `perturb` shows them to a branch.

    Args:
        views: A single sample.
        params: Section `perturb`.
    """
    shuffled = Permutation(params.patch_size, params.seed, 0)
    steps: list[tuple[str, ViewName, Perturbation | None]] = [
        ("ROI", "roi", None),
        ("ROI\npermuted", "roi", shuffled),
        ("extra-ROI", "extra_roi", None),
        ("extra-ROI\npermuted", "extra_roi", shuffled),
    ]
    for dx, dy in params.offsets:
        steps.append((f"moved by\n({dx}, {dy})", "extra_roi", translocation((dx, dy), params, views.roi.shape[1])))
    return tuple(_view(title, branch, what, views, params.pad) for title, branch, what in steps)


def _view(title: str, branch: ViewName, what: Perturbation | None, views: SampleBatch, pad: int) -> PerturbedView:
    images = views.roi if branch == "roi" else views.extra_roi
    if what is None:
        return PerturbedView(title, images[0], None)
    moved = perturb_canvases(what, images, views, branch=branch, background=pad)
    levels = photo_levels(views)
    after = perturb_canvases(what, levels, views, branch=branch, background=0)
    kept = kept_shares(region_sizes(levels), region_sizes(after))[0, 0]
    return PerturbedView(title, moved[0], float(kept))


def photo_levels(views: SampleBatch) -> Canvases:
    """Return one channel: 2 inside the ROI, 1 on the rest of the photo, 0 around it."""
    levels = np.zeros((*views.masks.shape, 1), np.uint8)
    for level, mask, place in zip(levels, views.masks, views.rects.tolist(), strict=True):
        inside = Rect(*place).inside
        level[inside] = 1 + mask[inside][..., np.newaxis]
    return levels


def perturbation_figure(scenes: Sequence[SamplePictures], params: PerturbParams, wording: Wording) -> PaperFigure:
    """Draw one row a sample: photo, ROI and extra-ROI, plain, permuted and moved.

    Args:
        scenes: At least one.
        params: Section `perturb`.
        wording: Words of the figure.
    """
    with chart_style():
        columns = 5 + len(params.offsets)
        figure = Figure(figsize=(WIDTH, 1.0 * len(scenes) + 0.3), layout="constrained")
        grid = figure.subplots(len(scenes), columns, squeeze=False)
        for number, (line, scene) in enumerate(zip(grid, scenes, strict=True)):
            show_picture(line[0], scene.marked(), below=scene.category)
            tiles = [PerturbedView("photo", scene.photo, None), *perturbed_views(scene.views, params)]
            for axes, tile in zip(line, tiles, strict=True):
                if tile.title != "photo":
                    below = "" if tile.kept is None else f"{100 * tile.kept:.0f} % kept"
                    show_picture(axes, enlarge(tile.image), below=below)
                if number == 0:
                    axes.set_title(tile.title, fontsize=7)
        return finish(figure, wording)
