"""Errors of every run: calibration, confusion matrices and scores by category, as numbers and charts."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8
from markupsafe import Markup, escape
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image as Pillow

from pipeline.evaluation import metrics
from pipeline.evaluation.predictions import PredictionTable
from pipeline.imaging.drawing import encode_picture
from pipeline.reporting.figures.charts import PANEL
from pipeline.reporting.figures.style import BLUE, GRAY, chart_style, finish_inline
from pipeline.reporting.summary import StudySummary
from pipeline.runtime.console import progress

LARGE, SMALL, MANY = 17, 10, 40  # pixels per category in a confusion matrix, up to `MANY` categories and above
STEPS = 10  # colours of the scale of F1; the style sheet has one class each
COLOURS = colormaps["cividis_r"]  # of the matrix, from 0.12 for few to 1 for all of a row
SCALE_COLOURS = tuple(
    f"rgb({r}, {g}, {b})" for r, g, b, _ in np.asarray(COLOURS(np.linspace(0.12, 1, STEPS), bytes=True)).tolist()
)
"""Of the matrix in the page's legend, as CSS."""

Matrix = Int64[np.ndarray, "K K"]


class CategoryScore(NamedTuple):
    """Scores of one category in [0, 1]."""

    category: str
    samples: int
    predicted: int  # samples predicted as the category
    precision: float
    recall: float
    f1: float


class ConfusedPair(NamedTuple):
    """Samples of one category predicted as another."""

    category: str
    predicted: str
    samples: int
    share: float  # of the category's samples, in [0, 1]


class ErrorAnalysis(NamedTuple):
    """Errors of one run."""

    categories: tuple[CategoryScore, ...]  # in class order
    confused: tuple[ConfusedPair, ...]  # largest first
    calibration: metrics.Reliability
    matrix: Matrix  # samples by (target, prediction)

    @property
    def names(self) -> tuple[str, ...]:
        """Categories in class order."""
        return tuple(score.category for score in self.categories)

    def as_json(self) -> dict[str, Any]:
        """Return everything but the matrix, rounded to six places; bins without samples are left out."""

        def rounded(record: CategoryScore | ConfusedPair) -> dict[str, Any]:
            return {n: round(v, metrics.DIGITS) if isinstance(v, float) else v for n, v in record._asdict().items()}

        names, columns = self.calibration._fields, (found.round(metrics.DIGITS).tolist() for found in self.calibration)
        bins = [{"bin": k} | dict(zip(names, found, strict=True)) for k, found in enumerate(zip(*columns, strict=True))]
        return {
            "reliability": {"bins": len(bins), "filled": [found for found in bins if found["samples"]]},
            "per_class": [rounded(score) for score in self.categories],
            "top_confusions": [rounded(pair) for pair in self.confused],
        }


def analyse_errors(table: PredictionTable, *, temperature: float, bins: int, limit: int) -> ErrorAnalysis:
    """Analyse the predictions of a run, with bins of confidence after calibration and `limit` confused pairs."""
    names = table.class_names
    counts = metrics.count_classes(table.targets, table.predictions, len(names))
    columns = (column.tolist() for column in (counts.support, counts.predicted, *metrics.score_classes(counts)))
    cells = metrics.confusion(table.targets, table.predictions)
    matrix = np.zeros((len(names),) * 2, np.int64)
    matrix[cells.target, cells.prediction] = cells.samples
    top = zip(*(column.tolist() for column in metrics.top_confusions(cells, limit)), strict=True)
    confidences = metrics.confidences_of(table.logits, temperature)
    return ErrorAnalysis(
        tuple(CategoryScore(*score) for score in zip(names, *columns, strict=True)),
        tuple(ConfusedPair(names[t], names[p], count, count / int(counts.support[t])) for t, p, count in top),
        metrics.reliability(confidences, table.targets == table.predictions, bins),
        matrix,
    )


def seriate(confusions: Matrix) -> tuple[int, ...]:
    """Return an order of the classes by average-linkage clustering; classes that are never confused come last.

    Clusters are joined by the largest mean confusion between their members, and reversed so that the ends that are
    confused most meet. Integers and first-of-equals ties make it the same on every machine.
    """
    similar = confusions + confusions.T
    np.fill_diagonal(similar, 0)
    clusters = [[k] for k in range(len(similar))]
    links = similar.copy()
    while links.any():
        sizes = np.array([len(members) for members in clusters])
        mean = links / (sizes[:, np.newaxis] * sizes)
        first, second = sorted(divmod(int(mean.argmax()), len(mean)))
        one, other = clusters[first], clusters.pop(second)
        joins = [(a, b) for a in (one, one[::-1]) for b in (other, other[::-1])]
        left, right = max(joins, key=lambda pair: int(similar[pair[0][-1], pair[1][0]]))
        clusters[first] = left + right
        links[first] += links[second]
        links[:, first] += links[:, second]
        links = np.delete(np.delete(links, second, axis=0), second, axis=1)
        links[first, first] = 0
    clusters.sort(key=lambda members: -len(members))
    return tuple(k for members in clusters for k in members)


def error_charts(results: StudySummary, analyses: Mapping[str, ErrorAnalysis]) -> dict[str, tuple[Markup, Markup]]:
    """Return reliability panel and confusion matrix by run; all matrices have the same order of categories."""
    names = max((analysis.names for analysis in analyses.values()), key=len)
    whole = np.sum([analysis.matrix for analysis in analyses.values() if analysis.names == names], axis=0)
    order = tuple(names[k] for k in seriate(whole))
    bar = progress(results.runs.items(), total=len(results.runs), what="errors", unit="run")
    return {
        run: (
            reliability_panel(analyses[run], name=f"reliability{number}", title=result.run.label),
            confusion_chart(analyses[run], order, title=result.run.label),
        )
        for number, (run, result) in enumerate(bar)
    }


def reliability_panel(analysis: ErrorAnalysis, *, name: str, title: str) -> Markup:
    """Draw accuracy by confidence above the share of samples by confidence; `name` is the prefix of element ids."""
    samples, confidence, accuracy = analysis.calibration
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
        points = zip(confidence[filled], accuracy[filled], strict=True)
        values = "; ".join(f"confidence {c:.2f} accuracy {a:.2f}" for c, a in points)
        error = metrics.expected_calibration_error(analysis.calibration)
        return finish_inline(figure, name, f"Reliability of {title}: expected calibration error {error:.3f}, {values}")


def confusion_chart(analysis: ErrorAnalysis, order: Sequence[str], *, title: str) -> Markup:
    """Draw the confusion matrix in `order` as shares of each row; categories the run lacks are skipped."""
    names = [name for name in order if name in analysis.names]
    rows = [analysis.names.index(name) for name in names]
    matrix = analysis.matrix[np.ix_(rows, rows)]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    pixels: UInt8[np.ndarray, "K K 4"] = np.asarray(COLOURS(0.12 + 0.88 * shares, bytes=True), np.uint8).copy()
    pixels[shares == 0] = 0  # transparent
    data = encode_picture(Pillow.fromarray(pixels), "PNG", optimize=True)
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    cell = LARGE if len(names) <= MANY else SMALL
    letter, extent = 0.78 * cell, cell * len(names)
    margin = round(0.62 * letter * max(map(len, names))) + 6  # slightly above the width of a sans-serif letter
    side = margin + extent
    # A frame and a hairline every five categories guide the eye along row and column.
    places = [margin + cell * k for k in [*range(0, len(names), 5), len(names)]]
    lines = "".join(f"M{margin} {p}H{side}M{p} {margin}V{side}" for p in places)
    worst = "; ".join(f"{p.category} as {p.predicted} {p.samples}" for p in analysis.confused[:3])
    right = int(analysis.matrix.trace()) / max(int(analysis.matrix.sum()), 1)
    text = f"Confusion matrix of {title}, targets in rows, answers in columns, {right:.0%} on the diagonal"
    text += f"; most confused: {worst}" if worst else ""
    parts = [
        f'<svg role="img" aria-label="{escape(text)}" class="matrix" font-size="{letter:.1f}"',
        f' viewBox="0 0 {side} {side}" width="{side}" height="{side}">',
        f'<rect x="{margin}" y="{margin}" width="{extent}" height="{extent}" fill="#fff"/>',
        f'<path d="{lines}" fill="none" stroke="var(--line)"/>',
        f'<image href="{uri}" x="{margin}" y="{margin}" width="{extent}" height="{extent}"/>',
    ]
    for k, name in enumerate(names):
        label, near, middle = escape(name), margin - 4, margin + cell * k + cell / 2 + 0.35 * letter
        parts.append(f'<text x="{near}" y="{middle:.1f}" text-anchor="end">{label}</text>')
        parts.append(f'<text transform="translate({middle:.1f} {near}) rotate(-90)">{label}</text>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - names are escaped where they enter


class CategoryRow(NamedTuple):
    """One category with its test samples."""

    category: str
    samples: int
    ambiguous: bool
    f1: tuple[float | None, ...]  # by run, in [0, 1]; None where the run does not know the category, or it never occurs


def step_of(f1: float) -> int:
    """Return the colour of a score on the scale, from 0 to STEPS - 1."""
    return min(int(f1 * STEPS), STEPS - 1)


def f1_matrix(
    scores: Mapping[str, Iterable[CategoryScore]], categories: Sequence[str], ambiguous: Sequence[str]
) -> tuple[CategoryRow, ...]:
    """Arrange scores by category (rows, the ambiguous pair on top) and run."""
    by_run = [{score.category: score for score in listed} for listed in scores.values()]
    rows = []
    for name in sorted(categories, key=lambda name: name not in ambiguous):
        found = [by_category.get(name) for by_category in by_run]
        f1 = tuple(score.f1 if score and score.samples else None for score in found)
        samples = max((score.samples for score in found if score), default=0)
        rows.append(CategoryRow(name, samples, name in ambiguous, f1))
    return tuple(rows)
