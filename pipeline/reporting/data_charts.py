"""Charts of the data card."""

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.datasets.summary import CategoryCount
from pipeline.reporting.figures.style import BLUE, ORANGE, chart_style, finish_inline

WIDTH, ROW_HEIGHT, FRAME_HEIGHT = 4.2, 0.2, 0.6


def counts_chart(categories: Sequence[CategoryCount], ambiguous: Sequence[str], *, name: str) -> Markup:
    """Draw train and test samples of every category, most frequent first; the ambiguous pair is in bold.

    Args:
        categories: In any order.
        ambiguous: Names of the pair.
        name: Prefix of the element ids.
    """
    ordered = sorted(categories, key=lambda c: (-c.train - c.test, c.target))
    places = range(len(ordered))
    with chart_style():
        figure = Figure(figsize=(WIDTH, len(ordered) * ROW_HEIGHT + FRAME_HEIGHT), layout="constrained")
        axes = figure.subplots()
        axes.barh([p - 0.2 for p in places], [c.train for c in ordered], height=0.36, color=BLUE, label="train")
        axes.barh([p + 0.2 for p in places], [c.test for c in ordered], height=0.36, color=ORANGE, label="test")
        axes.set_yticks(places, [c.name for c in ordered])
        for label, category in zip(axes.get_yticklabels(), ordered, strict=True):
            label.set_fontweight("bold" if category.name in ambiguous else "normal")
        axes.set(ylim=(len(ordered) - 0.4, -0.6), xlabel="samples")
        axes.grid(visible=True, axis="x")
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper right", ncols=2)
        counts = "; ".join(f"{c.name} {c.train} and {c.test}" for c in ordered)
        return finish_inline(figure, name, f"Bar chart of samples by category, train and test: {counts}")
