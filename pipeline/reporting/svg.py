"""Matplotlib figures as inline SVG that takes colours and fonts from the page, light or dark, on screen or paper."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Matplotlib knows no CSS, so each variable of the page is drawn in a colour of its own and replaced afterwards.
INK, MUTED, LINE = "#010203", "#010204", "#010205"
BLUE, ORANGE, GREEN, PURPLE, GRAY = "#010211", "#010212", "#010213", "#010214", "#010215"
CSS_VARIABLE = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    PURPLE: "purple",
    GRAY: "gray",
}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "rvernet",
    "text.parse_math": False,  # a category called `$^$` is no formula
    "svg.fonttype": "none",
    "font.size": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
"""Built on matplotlib's defaults alone, so a user's matplotlibrc changes nothing."""
REWRITES = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*|<!--.*?-->\s*", ""),
        (r"<g id=\"[^\"]*\"", "<g"),  # nothing refers to groups
        (r"<g\s*/>\s*", ""),
        (r"\bid=\"([^\"]+)\"", r'id="{name}-\1"'),  # ids must be unique in the whole page
        (r"(url\(|href=\")#", r"\1#{name}-"),
        (r"font: ([^;]*?)(\d+(?:\.\d+)?)px [^;]*;", r"font-size: \2px;"),
        (r"font-family: [^;]*;\s*", ""),  # the page's font
        (r"\s*\n\s*", "\n"),
    )
)
"""What matplotlib's SVG has too much, or too particular, for a part of a page."""
WORDS = re.compile(r"(?<=>)([^<>]*[^<>\s][^<>]*)(?=</text>)")
"""What a text element shows."""
TAKEN_OUT = "\0"
"""Stands for words; no XML holds it."""


@contextmanager
def page_style() -> Iterator[None]:
    """Draw in the style of the page."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def new_figure(width: float, height: float, *, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of inches of 96 CSS pixels, and its axes from top to bottom, which share the horizontal scale.

    No pyplot: it would keep every figure and look for a display.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, sharex=True, squeeze=False)[:, 0])


def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """Return a figure as an `<svg>` element; same figure, same text.

    Args:
        figure: What to show, drawn in `page_style`.
        name: Prefix of the element ids; unique in the page.
        description: Alternative text.
    """
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    # Words are taken out while tags are rewritten: a category may be called like a part of one.
    words = [found[1] for found in WORDS.finditer(text)]
    text = WORDS.sub(TAKEN_OUT, text[text.index("<svg") :])
    for pattern, replacement in REWRITES:
        text = pattern.sub(replacement.format(name=name), text)
    for colour, variable in CSS_VARIABLE.items():
        text = text.replace(colour, f"var(--{variable})")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)
    parts = text.split(TAKEN_OUT)
    return Markup("".join(part for pair in zip(parts, [*words, ""], strict=True) for part in pair))  # noqa: S704
