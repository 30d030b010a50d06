"""Learning curves: one small panel a run, all on the same scales; the page has the legend."""

import math
from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipeline.reporting.results import Epoch
from pipeline.reporting.svg import BLUE, GRAY, ORANGE, PURPLE, inline_svg, new_figure, page_style

WIDTH, HEIGHT = 2.9, 3.1


def curve_panel(epochs: Sequence[Epoch], *, name: str, title: str, highest_loss: float) -> Markup:
    """Draw F1 (whole set and ambiguous pair) above the losses of train and test, by epoch.

    Args:
        epochs: At least one.
        name: Prefix of the element ids.
        title: The run.
        highest_loss: Upper end of the loss axis, the same for all runs.
    """
    last = epochs[-1]
    with page_style():
        figure, (above, below) = new_figure(WIDTH, HEIGHT, rows=2)
        _line(above, epochs, "test_macro_f1", (BLUE, "-"))
        _line(above, epochs, "test_ambiguous_f1", (ORANGE, "--"))
        above.set(ylim=(0, 1.03), ylabel="F1", yticks=(0, 0.5, 1))
        _line(below, epochs, "train_loss", (GRAY, "-"))
        _line(below, epochs, "test_loss", (PURPLE, "--"))
        below.set(ylim=(0, highest_loss), ylabel="loss", xlabel="epoch", xlim=(min(1, last.epoch - 1), last.epoch))
        below.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        figure.align_ylabels()
        return inline_svg(figure, name, _describe(title, last))


def _line(axes: Axes, epochs: Sequence[Epoch], column: str, style: tuple[str, str]) -> None:
    colour, dashes = style
    values = [getattr(epoch, column) for epoch in epochs]
    if all(map(math.isnan, values)):
        return
    places = [epoch.epoch for epoch in epochs]
    axes.plot(places, values, dashes, color=colour, linewidth=1.6)


def highest_loss(histories: Sequence[Sequence[Epoch]]) -> float:
    """Return the upper end of a loss axis that shows every run but cuts off rare explosions."""
    losses = sorted(loss for epochs in histories for e in epochs for loss in (e.train_loss, e.test_loss))
    finite = [loss for loss in losses if math.isfinite(loss)]
    return 1.05 * finite[int(0.99 * (len(finite) - 1))] if finite else 1.0


def _describe(title: str, last: Epoch) -> str:
    pair = "" if math.isnan(last.test_ambiguous_f1) else f", F1 of the ambiguous pair {last.test_ambiguous_f1:.2f}"
    return (
        f"Learning curves of {title}: after epoch {last.epoch} macro F1 {last.test_macro_f1:.2f}{pair}, "
        f"train loss {last.train_loss:.2f}, test loss {last.test_loss:.2f}"
    )
