"""Where two classifiers disagree, counted and shown; Figures 3 and 5 of the paper."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.evaluation.predictions import PredictionTable
from pipeline.reporting.figures.scenes import SamplePictures
from pipeline.reporting.figures.style import (
    GRAY,
    INK,
    LINE,
    ORANGE,
    SKY,
    WIDTH,
    PaperFigure,
    Wording,
    blank,
    chart_style,
    finish,
    show_picture,
)
from pipeline.reporting.samples import choose_ids

SHOWN = 5
"""Examples of each direction."""
LETTERS = 30
"""Letters that fit under an example."""


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
    """Examples that only the first, and only the second, gets right."""

    @property
    def samples(self) -> int:
        """Return the number of samples compared."""
        return len(self.both) + len(self.only_first) + len(self.only_second) + len(self.neither)

    def tally(self) -> str:
        """Return the four counts in words."""
        return (
            f"of {self.samples:,} samples both are right in {len(self.both):,}, only {self.first.label} in "
            f"{len(self.only_first):,}, only {self.second.label} in {len(self.only_second):,}, neither in "
            f"{len(self.neither):,}"
        )


def disagree(first: FigureClassifier, second: FigureClassifier, categories: Sequence[str], seed: int) -> Disagreement:
    """Compare two classifiers on the samples they share.

    Args:
        first: One classifier.
        second: The other.
        categories: Only samples of these; all samples where there are none.
        seed: Seed of the choice of examples.
    """
    verdicts = [_right(c.table, categories) for c in (first, second)]
    shared = [sample_id for sample_id in verdicts[0] if sample_id in verdicts[1]]
    groups = {
        answers: tuple(i for i in shared if (verdicts[0][i], verdicts[1][i]) == answers)
        for answers in ((True, True), (True, False), (False, True), (False, False))
    }
    both, only_first, only_second, neither = groups.values()
    category_of = {i: first.table.class_names[t] for i, t in _targets(first.table).items()}
    shown = tuple(choose_ids(ids, category_of, SHOWN, seed) for ids in (only_first, only_second))
    return Disagreement(first, second, both, only_first, only_second, neither, (shown[0], shown[1]))


def _right(table: PredictionTable, categories: Sequence[str]) -> dict[str, bool]:
    wanted = [table.class_names.index(name) for name in categories] or list(range(len(table.class_names)))
    rows = np.flatnonzero(np.isin(table.targets, wanted)).tolist()
    return {table.sample_ids[row]: bool(table.predictions[row] == table.targets[row]) for row in rows}


def _targets(table: PredictionTable) -> dict[str, int]:
    return dict(zip(table.sample_ids, table.targets.tolist(), strict=True))


def disagreement_figure(found: Disagreement, scenes: Mapping[str, SamplePictures], wording: Wording) -> PaperFigure:
    """Draw the counts as one bar, and below it examples of both directions.

    Args:
        found: Comparison.
        scenes: Samples by id, at least the shown ones.
        wording: Words of the figure.
    """
    with chart_style():
        figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
        bar, first, second = figure.subfigures(3, 1, height_ratios=(0.5, 2, 2), hspace=0, squeeze=False)[:, 0]
        _draw_counts(bar.subplots(), found)
        sides = ((first, "(a)", found.first, found.shown[0]), (second, "(b)", found.second, found.shown[1]))
        for part, letter, winner, ids in sides:
            part.suptitle(f"{letter} only {winner.label} is right", x=0.01, ha="left", fontsize=8, fontweight="bold")
            _draw_examples(list(part.subplots(1, SHOWN, squeeze=False)[0]), ids, found, scenes)
        return finish(figure, wording)


def _draw_counts(axes: Axes, found: Disagreement) -> None:
    parts = (
        ("both right", len(found.both), LINE, ""),
        (f"only {found.first.label}", len(found.only_first), SKY, "////"),
        (f"only {found.second.label}", len(found.only_second), ORANGE, "...."),
        ("neither", len(found.neither), GRAY, ""),
    )
    left = 0
    for label, count, colour, hatch in parts:
        axes.barh(0, count, left=left, height=0.8, color=colour, hatch=hatch, edgecolor="white", label=label)
        left += count
    axes.set(xlim=(0, max(found.samples, 1)), ylim=(-0.5, 0.5))
    blank(axes)
    handles, labels = axes.get_legend_handles_labels()
    texts = [f"{label}: {count:,}" for label, (_, count, *_) in zip(labels, parts, strict=True)]
    axes.legend(handles, texts, loc="lower center", bbox_to_anchor=(0.5, 0.95), ncols=4, handlelength=1.6)


def _draw_examples(
    row: Sequence[Axes], ids: Sequence[str], found: Disagreement, scenes: Mapping[str, SamplePictures]
) -> None:
    for axes, sample_id in zip(row, ids, strict=False):
        show_picture(axes, scenes[sample_id].marked(), below=_answers(found, sample_id))
        axes.set_anchor("N")  # close to the heading it belongs to
    for axes in row[len(ids) :]:
        blank(axes)
    if not ids:
        row[0].text(0, 0.5, "no such sample", fontsize=8, color=INK, transform=row[0].transAxes)


def _answers(found: Disagreement, sample_id: str) -> str:
    target = found.first.table.targets[found.first.table.sample_ids.index(sample_id)]
    lines = [f"GT: {found.first.table.class_names[target]}"]
    for _, short, table in (found.first, found.second):
        row = table.sample_ids.index(sample_id)
        mark = "✓" if table.predictions[row] == table.targets[row] else "✗"
        lines.append(f"{mark} {short}: {table.class_names[table.predictions[row]]}")
    return "\n".join(line if len(line) <= LETTERS else f"{line[: LETTERS - 1]}…" for line in lines)
