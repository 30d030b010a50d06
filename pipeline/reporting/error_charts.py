"""Charts of what runs get wrong: reliability panels and confusion matrices that stay readable at 105 categories."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Float64, UInt8
from markupsafe import Markup, escape
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image as Pillow

from pipeline.console import progress
from pipeline.reporting.figures.epochs import PANEL
from pipeline.reporting.figures.style import BLUE, GRAY, chart_style, finish_inline
from pipeline.reporting.judgement import Judgement
from pipeline.reporting.seriation import seriate
from pipeline.reporting.summary import Summary

LARGE, SMALL, MANY = 17, 10, 40
"""Pixels a category in a confusion matrix, up to `MANY` categories and above."""
LETTER = 0.62
"""Width of a letter over its size, a bit above what sans-serif faces have."""
MATRIX_TEXT = "Confusion matrix of {title}, targets in rows, answers in columns, {right:.0%} on the diagonal{worst}"


def error_charts(results: Summary, judgements: Mapping[str, Judgement]) -> dict[str, tuple[Markup, Markup]]:
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


def reliability_panel(judgement: Judgement, *, name: str, title: str) -> Markup:
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


def confusion_chart(judgement: Judgement, order: Sequence[str], *, title: str) -> Markup:
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


def _describe(judgement: Judgement, title: str) -> str:
    total = max(int(judgement.matrix.sum()), 1)
    worst = "; ".join(f"{p.category} as {p.predicted} {p.samples}" for p in judgement.confused[:3])
    right = int(judgement.matrix.trace()) / total
    return str(escape(MATRIX_TEXT.format(title=title, right=right, worst=f"; most confused: {worst}" if worst else "")))


def scale_colours(steps: int) -> tuple[str, ...]:
    """Return the colours of the matrix from few to all of a row, as CSS."""
    colours = colormaps["cividis_r"](np.linspace(0.12, 1, steps), bytes=True)
    return tuple(f"rgb({r}, {g}, {b})" for r, g, b, _ in np.asarray(colours).tolist())
