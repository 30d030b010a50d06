"""Style of all charts, for print and in the page.

Files have a white background and colours safe for colour-blind readers (Okabe and Ito), with shapes, dashes or names
beside the colour. In the page the same SVG takes colours and fonts from the page's style sheet, light or dark.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import chain
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.reporting.samples import Picture, picture

BLUE, ORANGE, GREEN, PURPLE, SKY, GRAY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#6B7280"
INK, MUTED, LINE = "#111827", "#4B5563", "#D1D5DB"
WIDTH = 7.0  # inches: two columns of a journal page
DPI = 200
CSS_VARIABLE = dict(
    zip((INK, MUTED, LINE, BLUE, ORANGE, GREEN, PURPLE, GRAY, "#FFFFFF"),
        ("ink", "muted", "line", "blue", "orange", "green", "purple", "gray", "surface"), strict=True)
)  # fmt: skip
"""Variable of the page's style sheet by colour."""
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "rvernet",
    "text.parse_math": False,  # a category called `$^$` is no formula
    "svg.fonttype": "none",  # text stays text: searchable, small, and editable
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), 8),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 7.5),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.major.size": 2,
    "ytick.major.size": 0,
    "hatch.linewidth": 0.5,
    "savefig.facecolor": "white",
}
"""Built on matplotlib's defaults alone, so a user's matplotlibrc changes nothing."""

REWRITES = (
    (r"(?s)<metadata>.*?</metadata>\s*|<style.*?</style>\s*|<!--.*?-->\s*", ""),
    (r"<g id=\"[^\"]*\"", "<g"),  # nothing refers to groups
    (r"<g\s*/>\s*", ""),
    (r"\bid=\"([^\"]+)\"", r'id="{name}-\1"'),  # ids must be unique in the whole page
    (r"(url\(|href=\")#", r"\1#{name}-"),
    (r"font: ([^;]*?)(\d+(?:\.\d+)?)px [^;]*;", r"font-size: \2px;"),
    (r"font-family: [^;]*;\s*", ""),  # the page's font
    (r"\s*\n\s*", "\n"),
)
"""Removes from matplotlib's SVG what a part of a page must not have."""
TEXT = re.compile(r"(?<=>)([^<>]*[^<>\s][^<>]*)(?=</text>)")  # content of a text element
PLACEHOLDER = "\0"  # stands for a text while tags are rewritten; no XML holds it


class PaperFigure(NamedTuple):
    """One figure of the paper, drawn from our runs."""

    name: str  # stem of its files, for instance `figure_3` or `figure_4_vit`
    caption: str  # what is shown, with counts
    description: str  # alternative text
    svg: bytes
    png: bytes

    @property
    def title(self) -> str:
        """For instance `Figure 3`."""
        return f"Figure {self.name.split('_')[1]}"

    @property
    def drawing(self) -> Markup | None:
        """SVG element of the page; None where the figure shows photos, which `photo` stores at a tenth of the size."""
        return None if b"<image" in self.svg else inline_svg(self.svg, self.name, self.description)

    @property
    def photo(self) -> Picture:
        """Raster picture of the page."""
        return picture(np.asarray(Pillow.open(BytesIO(self.png)).convert("RGB")), self.description)


@contextmanager
def chart_style() -> Iterator[None]:
    """Draw in the style of all charts."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def finish(figure: Figure, name: str, caption: str, description: str) -> PaperFigure:
    """Encode a figure that was drawn in `chart_style`; same figure, same bytes."""
    png = BytesIO()
    # Laid out once, at the resolution of the larger file, so that both show the same.
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return PaperFigure(name, caption, description, _svg(figure), png.getvalue())


def finish_inline(figure: Figure, name: str, description: str) -> Markup:
    """Return a figure that was drawn in `chart_style` as part of the page alone; see `inline_svg`."""
    return inline_svg(_svg(figure), name, description)


def _svg(figure: Figure) -> bytes:
    svg = BytesIO()
    figure.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})
    return svg.getvalue()


def inline_svg(svg: bytes, name: str, description: str) -> Markup:
    """Return a file made in `chart_style` as an `<svg>` in the page's colours; `name` is the prefix of its ids."""
    text = svg.decode()
    # Texts are taken out while tags are rewritten: a category may be named like a part of one.
    texts = TEXT.findall(text)
    text = TEXT.sub(PLACEHOLDER, text[text.index("<svg") :])
    for pattern, replacement in REWRITES:
        text = re.sub(pattern, replacement.format(name=name), text)
    for colour, variable in CSS_VARIABLE.items():
        text = text.replace(colour.lower(), f"var(--{variable})")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)
    parts = zip(text.split(PLACEHOLDER), [*texts, ""], strict=True)
    return Markup("".join(chain.from_iterable(parts)))  # noqa: S704


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name rows 0, 1, ... from top to bottom, with a grid for their values."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)


def show_picture(axes: Axes, image: Image, below: str = "") -> None:
    """Fill axes with a picture and write lines under it."""
    axes.imshow(image, interpolation="none", aspect="equal")
    axes.set(xticks=(), yticks=())
    for spine in axes.spines.values():
        spine.set_visible(False)
    if below:
        axes.set_xlabel(below, fontsize=6.5, color=INK, labelpad=2)
