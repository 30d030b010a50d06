"""What one run gets right and wrong, beyond one number: calibration, confused pairs, scores by category."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from markupsafe import Markup, escape
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image as Pillow

from pipeline.evaluation.metrics import (
    Reliability,
    confidences_of,
    confusion,
    count_classes,
    expected_calibration_error,
    reliability,
    score_classes,
    top_confusions,
)
from pipeline.evaluation.predictions import PredictionTable
from pipeline.reporting.figures.epochs import PANEL
from pipeline.reporting.figures.style import BLUE, GRAY, chart_style, finish_inline
from pipeline.reporting.results import ClassScore
from pipeline.reporting.summary import StudySummary
from pipeline.runtime.console import progress

PLACES = 6


class CategoryScore(NamedTuple):
    """Scores of one category in [0, 1]."""

    category: str
    samples: int
    predicted: int
    """Samples answered as the category."""
    precision: float
    recall: float
    f1: float


class ConfusedPair(NamedTuple):
    """One kind of wrong answer."""

    category: str
    predicted: str
    samples: int
    share: float
    """Of the category's samples, in [0, 1]."""


class ErrorAnalysis(NamedTuple):
    """One run, judged on its predictions."""

    categories: tuple[CategoryScore, ...]
    """In class order."""
    confused: tuple[ConfusedPair, ...]
    """Largest first."""
    calibration: Reliability
    """By bin of calibrated confidence."""
    matrix: Int64[np.ndarray, "K K"]
    """Samples by (target, prediction)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the categories in class order."""
        return tuple(score.category for score in self.categories)

    @property
    def ece(self) -> float:
        """Return the expected calibration error in [0, 1]."""
        return expected_calibration_error(self.calibration)

    def as_json(self) -> dict[str, Any]:
        """Return everything but the matrix, rounded to six places; bins without samples are left out."""
        columns = [np.asarray(column).round(PLACES).tolist() for column in self.calibration]
        bins = enumerate(zip(*columns, strict=True))
        return {
            "reliability": {
                "bins": len(self.calibration.samples),
                "filled": [
                    {"bin": place, "samples": samples, "confidence": confidence, "accuracy": accuracy}
                    for place, (samples, confidence, accuracy) in bins
                    if samples
                ],
            },
            "per_class": [_rounded(score) for score in self.categories],
            "top_confusions": [_rounded(pair) for pair in self.confused],
        }


def _rounded(record: CategoryScore | ConfusedPair) -> dict[str, Any]:
    return {n: round(v, PLACES) if isinstance(v, float) else v for n, v in record._asdict().items()}


def analyse_errors(table: PredictionTable, *, temperature: float, bins: int, limit: int) -> ErrorAnalysis:
    """Judge the predictions of a run.

    Args:
        table: Predictions with logits.
        temperature: What the run's logits are divided by before the softmax.
        bins: Bins of confidence.
        limit: Confused pairs to list.
    """
    counts = count_classes(table.targets, table.predictions, len(table.class_names))
    columns = (counts.support, counts.predicted, *score_classes(counts))
    scores = zip(table.class_names, *(column.tolist() for column in columns), strict=True)
    cells = confusion(table.targets, table.predictions)
    matrix = np.zeros((len(table.class_names),) * 2, np.int64)
    matrix[cells.target, cells.prediction] = cells.samples
    pairs = zip(*(column.tolist() for column in top_confusions(cells, limit)), strict=True)
    return ErrorAnalysis(
        categories=tuple(CategoryScore(*score) for score in scores),
        confused=tuple(_pair(table.class_names, counts.support, *pair) for pair in pairs),
        calibration=reliability(confidences_of(table.logits, temperature), table.targets == table.predictions, bins),
        matrix=matrix,
    )


def _pair(
    names: Sequence[str], support: Int64[np.ndarray, " K"], target: int, answer: int, samples: int
) -> ConfusedPair:
    return ConfusedPair(names[target], names[answer], samples, samples / int(support[target]))


# Order categories so that those that are confused stand side by side and a large confusion matrix can be read.


Matrix = Int64[np.ndarray, "K K"]


def seriate(confusions: Matrix) -> tuple[int, ...]:
    """Return an order of the classes by average-linkage clustering; classes that are never confused come last.

    Clusters are joined by the largest mean confusion between their members, and turned so that the ends that are
    confused most meet. Whole numbers and first-comes-first ties make it the same on every machine.

    Args:
        confusions: Samples by (target, prediction), of one run or summed over several.
    """
    similar = confusions + confusions.T
    np.fill_diagonal(similar, 0)
    clusters = [[k] for k in range(len(similar))]
    links = similar.copy()
    while (pair := _closest(clusters, links)) is not None:
        first, second = pair
        clusters[first] = _join(clusters[first], clusters.pop(second), similar)
        links[first] += links[second]
        links[:, first] += links[:, second]
        links = np.delete(np.delete(links, second, axis=0), second, axis=1)
        links[first, first] = 0
    clusters.sort(key=lambda members: -len(members))
    return tuple(k for members in clusters for k in members)


def _closest(clusters: list[list[int]], links: Matrix) -> tuple[int, int] | None:
    """Return the two clusters with the largest mean link, the first of them first; None where no link is left."""
    if not links.any():
        return None
    sizes = np.array([len(members) for members in clusters])
    mean = links / (sizes[:, np.newaxis] * sizes)
    first, second = divmod(int(mean.argmax()), len(mean))
    return min(first, second), max(first, second)


def _join(first: list[int], second: list[int], similar: Matrix) -> list[int]:
    ways = [(a, b) for a in (first, first[::-1]) for b in (second, second[::-1])]
    return max((a + b for a, b in ways), key=lambda order: _at_seam(order, len(first), similar))


def _at_seam(order: list[int], seam: int, similar: Matrix) -> int:
    return int(similar[order[seam - 1], order[seam]])


# Charts of what runs get wrong: reliability panels and confusion matrices that stay readable at 105 categories.


LARGE, SMALL, MANY = 17, 10, 40
"""Pixels a category in a confusion matrix, up to `MANY` categories and above."""
LETTER = 0.62
"""Width of a letter over its size, a bit above what sans-serif faces have."""
MATRIX_TEXT = "Confusion matrix of {title}, targets in rows, answers in columns, {right:.0%} on the diagonal{worst}"


def error_charts(results: StudySummary, judgements: Mapping[str, ErrorAnalysis]) -> dict[str, tuple[Markup, Markup]]:
    """Return reliability panel and confusion matrix by run; all matrices have one order, so that they compare."""
    names = max((judgement.names for judgement in judgements.values()), key=len)
    whole = np.sum([judgement.matrix for judgement in judgements.values() if judgement.names == names], axis=0)
    order = tuple(names[k] for k in seriate(whole))
    bar = progress(results.runs.items(), total=len(results.runs), what="errors", unit="run")
    return {
        run: (
            reliability_panel(judgements[run], name=f"reliability{number}", title=result.run.label),
            confusion_chart(judgements[run], order, title=result.run.label),
        )
        for number, (run, result) in enumerate(bar)
    }


def reliability_panel(judgement: ErrorAnalysis, *, name: str, title: str) -> Markup:
    """Draw accuracy by confidence above the share of samples by confidence.

    Args:
        judgement: Of one run.
        name: Prefix of the element ids.
        title: The run.
    """
    samples, confidence, accuracy = judgement.calibration
    filled = samples > 0
    with chart_style():
        figure = Figure(figsize=PANEL, layout="constrained")
        above, below = figure.subplots(2, sharex=True)
        above.plot([0, 1], [0, 1], "--", color=GRAY, linewidth=1)
        above.vlines(confidence[filled], confidence[filled], accuracy[filled], color=GRAY, linewidth=1)
        above.plot(confidence[filled], accuracy[filled], "o-", color=BLUE, markersize=4, linewidth=1.4)
        above.set(xlim=(0, 1), ylim=(0, 1.03), ylabel="accuracy", yticks=(0, 0.5, 1))
        places = (np.arange(len(samples)) + 0.5) / len(samples)
        below.bar(places, samples / samples.sum(), width=0.85 / len(samples), color=BLUE)
        below.set(ylabel="samples", xlabel="confidence", ylim=(0, None), xticks=(0, 0.5, 1))
        below.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        for axes in (above, below):
            axes.grid(visible=True)
        figure.align_ylabels()
        text = f"Reliability of {title}: expected calibration error {judgement.ece:.3f}, " + "; ".join(
            f"confidence {c:.2f} accuracy {a:.2f}" for c, a in zip(confidence[filled], accuracy[filled], strict=True)
        )
        return finish_inline(figure, name, text)


def confusion_chart(judgement: ErrorAnalysis, order: Sequence[str], *, title: str) -> Markup:
    """Draw the confusion matrix as shares of each row, dark for much; empty cells stay empty.

    Args:
        judgement: Of one run.
        order: Categories from top to bottom and left to right; those the run lacks are passed over.
        title: The run.
    """
    names = [name for name in order if name in judgement.names]
    places = [judgement.names.index(name) for name in names]
    matrix = judgement.matrix[np.ix_(places, places)]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cell = LARGE if len(names) <= MANY else SMALL
    letter = 0.78 * cell
    margin = round(LETTER * letter * max(map(len, names))) + 6
    extent = cell * len(names)
    side = margin + extent
    parts = [
        f'<svg role="img" aria-label="{_describe(judgement, title)}" class="matrix" font-size="{letter:.1f}"',
        f' viewBox="0 0 {side} {side}" width="{side}" height="{side}">',
        f'<rect x="{margin}" y="{margin}" width="{extent}" height="{extent}" fill="#fff"/>',
        *_grid(margin, cell, len(names)),
        f'<image href="{_picture(shares)}" x="{margin}" y="{margin}" width="{extent}" height="{extent}"/>',
        *(_labels(name, margin, margin + cell * k + cell / 2, letter) for k, name in enumerate(names)),
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704 - names are escaped where they enter


def _grid(margin: int, cell: int, count: int) -> Sequence[str]:
    """Return a frame and a hairline every five categories, so that the eye keeps row and column."""
    end = margin + cell * count
    places = [margin + cell * k for k in [*range(0, count, 5), count]]
    lines = "".join(f"M{margin} {p}H{end}M{p} {margin}V{end}" for p in places)
    return (f'<path d="{lines}" fill="none" stroke="var(--line)"/>',)


def _labels(name: str, margin: int, place: float, letter: float) -> str:
    text, near, middle = escape(name), margin - 4, place + 0.35 * letter
    return (
        f'<text x="{near}" y="{middle:.1f}" text-anchor="end">{text}</text>'
        f'<text transform="translate({middle:.1f} {near}) rotate(-90)">{text}</text>'
    )


def _picture(shares: Float64[np.ndarray, "K K"]) -> str:
    """Return one pixel a cell as a PNG; cells without samples are transparent."""
    colours = colormaps["cividis_r"](0.12 + 0.88 * shares, bytes=True)
    pixels: UInt8[np.ndarray, "K K 4"] = np.asarray(colours, np.uint8).copy()
    pixels[shares == 0] = 0
    buffer = BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _describe(judgement: ErrorAnalysis, title: str) -> str:
    total = max(int(judgement.matrix.sum()), 1)
    worst = "; ".join(f"{p.category} as {p.predicted} {p.samples}" for p in judgement.confused[:3])
    right = int(judgement.matrix.trace()) / total
    return str(escape(MATRIX_TEXT.format(title=title, right=right, worst=f"; most confused: {worst}" if worst else "")))


def scale_colours(steps: int) -> tuple[str, ...]:
    """Return the colours of the matrix from few to all of a row, as CSS."""
    colours = colormaps["cividis_r"](np.linspace(0.12, 1, steps), bytes=True)
    return tuple(f"rgb({r}, {g}, {b})" for r, g, b, _ in np.asarray(colours).tolist())


# F1 of every category under every run, as steps of a colour scale.


STEPS = 10
"""Colours of the scale; the style sheet has one class each."""


class Cell(NamedTuple):
    """One category under one run."""

    f1: float | None
    """In [0, 1]; None where the run does not know the category, or it occurs nowhere."""
    step: int
    """Colour, from 0 to STEPS - 1."""


class CategoryRow(NamedTuple):
    """One category."""

    category: str
    samples: int
    """Test samples."""
    ambiguous: bool
    """Whether it belongs to the ambiguous pair."""
    cells: tuple[Cell, ...]
    """By run."""


def heat_map(
    scores: Mapping[str, Mapping[str, ClassScore]], categories: Sequence[str], ambiguous: Sequence[str]
) -> tuple[CategoryRow, ...]:
    """Arrange scores by category (rows) and run (cells).

    Args:
        scores: Scores of each run, by category.
        categories: Rows from top to bottom; the ambiguous pair is moved to the top.
        ambiguous: Names of the pair.
    """
    ordered = sorted(categories, key=lambda name: name not in ambiguous)
    return tuple(_row(name, scores, ambiguous) for name in ordered)


def _row(name: str, scores: Mapping[str, Mapping[str, ClassScore]], ambiguous: Sequence[str]) -> CategoryRow:
    found = [per_class.get(name) for per_class in scores.values()]
    samples = max((score.samples for score in found if score), default=0)
    return CategoryRow(name, samples, name in ambiguous, tuple(_cell(score) for score in found))


def _cell(score: ClassScore | None) -> Cell:
    if score is None or score.samples == 0:
        return Cell(None, 0)
    return Cell(score.f1, min(int(score.f1 * STEPS), STEPS - 1))
