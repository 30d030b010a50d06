"""How figures for print look, and a finished figure as files.

Other than the charts of the page, which follow its colours, these stand on white and in colours that all readers tell
apart (Okabe and Ito), with shapes, dashes or hatches beside the colour.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.reporting.pictures import Picture, picture

BLUE, ORANGE, GREEN, PURPLE, SKY, GRAY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#6B7280"
INK, MUTED, LINE = "#111827", "#4B5563", "#D1D5DB"
WIDTH = 7.0
"""Inches: two columns of a journal page."""
DPI = 200
LARGEST_INLINE_SVG = 100_000
"""Bytes."""
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "rvernet",
    "text.parse_math": False,  # a category called `$^$` is no formula
    "svg.fonttype": "none",  # text stays text: searchable, small, and editable
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.size": 2,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "hatch.linewidth": 0.5,
    "savefig.facecolor": "white",
}
"""Built on matplotlib's defaults alone, so a user's matplotlibrc changes nothing."""


class PaperFigure(NamedTuple):
    """One figure of the paper, made from our runs."""

    name: str
    """Stem of its files, for instance `figure_3`."""
    title: str
    """For instance `Figure 3`."""
    caption: str
    """What is shown, with counts."""
    description: str
    """Alternative text: what a reader who does not see it needs."""
    svg: bytes
    png: bytes
    """At 200 dots an inch."""

    @property
    def inline(self) -> Picture:
        """Return it as a picture of the page: drawings as SVG, photos as WebP, which is a tenth of the size."""
        image = np.asarray(Pillow.open(BytesIO(self.png)).convert("RGB"))
        if len(self.svg) > LARGEST_INLINE_SVG:
            return picture(image, self.description)
        uri = "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()
        return Picture(uri, image.shape[1], image.shape[0], self.description)


class Wording(NamedTuple):
    """The words of a figure."""

    name: str
    title: str
    caption: str
    description: str


@contextmanager
def print_style() -> Iterator[None]:
    """Draw in the style of print."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def finish(figure: Figure, wording: Wording) -> PaperFigure:
    """Encode a figure that was drawn in `print_style`; same figure, same bytes."""
    svg, png = BytesIO(), BytesIO()
    # Laid out once, at the resolution of the larger file, so that both show the same.
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    figure.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})
    return PaperFigure(*wording, svg=svg.getvalue(), png=png.getvalue())


def show_picture(axes: Axes, image: Image, *, below: str = "", colour: str = INK) -> None:
    """Fill axes with a picture and write lines under it."""
    axes.imshow(image, interpolation="none", aspect="equal")
    axes.set(xticks=(), yticks=())
    for spine in axes.spines.values():
        spine.set_visible(False)
    if below:
        axes.set_xlabel(below, fontsize=6.5, color=colour, labelpad=2)


def blank(axes: Axes) -> None:
    """Leave axes empty."""
    axes.set_axis_off()
