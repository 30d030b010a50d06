"""Charts as parts of the page."""

import math
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest
from markupsafe import Markup

from pipeline.datasets.statistics import CategoryCount
from pipeline.evaluation.metrics import EpochRecord
from pipeline.reporting.figures.charts import (
    BarPanel,
    ChartRow,
    ChartValue,
    bar_chart,
    change_figure,
    counts_chart,
    curve_panel,
    curve_split,
    highest_loss,
)
from pipeline.reporting.figures.style import chart_style, finish

ROWS = (ChartRow("A + B", "two branches"), ChartRow("A & <C>", "ROI only"), ChartRow("D", "ROI only"))
SHARES = (ChartValue(ROWS[0], 0.9, 0.8, 0.95), ChartValue(ROWS[1], 0.5, 0.5, 0.5), ChartValue(ROWS[2], None, 0.0, 0.0))
EPOCHS = tuple(EpochRecord(e, 1e-3, 2 / e, 0.1, 2.2 / e, 0.2, 0.1 * e, 0.2 * e) for e in (1, 2, 3))


def shares() -> Markup:
    """Draw three rows."""
    return bar_chart(BarPanel("top-1, %", SHARES, 0.5), "top1")


def changes() -> Markup:
    """Draw two series."""
    values = [ChartValue(row, -0.1, -0.2, 0.0, series) for row in ROWS for series in ("ROI", "both")]
    with chart_style():
        drawing = finish(change_figure(values), "figure_9", "Caption.", "Dot chart of what permutation costs").drawing
    assert drawing is not None
    return drawing


def curves() -> Markup:
    """Draw one panel."""
    return curve_panel(EPOCHS, "test", name="curve0", title="A + B", highest_loss=3.0)


def counts() -> Markup:
    """Draw two categories."""
    categories = [
        CategoryCount(id=i, name=name, target=i, extra=False, train=9 - i, test=3)
        for i, name in enumerate(("rice", "<b>"))
    ]
    return counts_chart(categories, ["rice"], name="counts")


@pytest.mark.parametrize("draw", [shares, changes, curves, counts])
def test_a_chart_is_sound_svg_with_a_description_and_the_pages_colours(draw: object) -> None:
    """It parses, says what it shows, refers only to itself, and leaves colours and fonts to the page."""
    assert callable(draw)
    text = str(draw())
    svg = ET.fromstring(text)  # noqa: S314 - made here
    assert svg.get("role") == "img"
    assert len(svg.get("aria-label") or "") > 20
    assert "var(--" in text
    assert not re.findall(r"#[0-9a-fA-F]{3,6}\b(?!\")", text)
    assert "font-family" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) <= set(ids)


@pytest.mark.parametrize("draw", [shares, changes, curves, counts])
def test_a_chart_is_the_same_text_every_time_whatever_the_users_style(draw: object) -> None:
    """No date, no counter, no matplotlibrc."""
    assert callable(draw)
    first = draw()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None}):
        assert draw() == first


def test_a_row_without_a_number_says_so() -> None:
    """It is neither left out nor zero."""
    assert "does not apply" in shares()


def test_names_cannot_break_out_of_the_chart() -> None:
    """Category names come from files."""
    assert "<C>" not in shares()
    assert "<b>" not in counts()


def test_a_run_without_the_pair_has_no_curve_for_it() -> None:
    """It is not drawn, and not described."""
    without = [epoch._replace(test_ambiguous_f1=None) for epoch in EPOCHS]
    assert "ambiguous" not in curve_panel(without, "test", name="curve0", title="A", highest_loss=3.0)


def test_curves_are_of_the_test_split_where_all_runs_have_test_curves() -> None:
    """Else of validation; a run without either has its train loss."""
    bare = [EpochRecord(e, 1e-3, 2 / e, 0.1) for e in (1, 2)]
    plain = [epoch._replace(validation_loss=2.5, validation_macro_f1=0.25) for epoch in bare]
    assert [curve_split(runs) for runs in ([EPOCHS], [plain], [EPOCHS, plain])] == ["test", "validation", "validation"]
    text = curve_panel(plain, "validation", name="curve0", title="A", highest_loss=3.0)
    assert "after epoch 2 macro F1 on the validation split 0.25, train loss 1.00, validation loss 2.50" in text
    assert "after epoch 2 train loss 1.00" in curve_panel(
        bare, "validation", name="curve0", title="A", highest_loss=3.0
    )


def test_a_panel_shows_the_split_of_the_page() -> None:
    """Also that of a run with test curves, where another run of the page has none."""
    both = [epoch._replace(validation_loss=2.5, validation_macro_f1=0.25) for epoch in EPOCHS]
    text = curve_panel(both, "validation", name="curve0", title="A", highest_loss=3.0)
    assert "after epoch 3 macro F1 on the validation split 0.25, train loss 0.67, validation loss 2.50" in text
    assert "test" not in text


def test_counts_show_every_split_that_has_samples() -> None:
    """Validation beside train and test, all three in the order; none of them where it is empty."""
    rice = CategoryCount(id=1, name="rice", target=0, extra=False, train=4, test=3)
    egg = CategoryCount(id=2, name="egg", target=1, extra=False, train=3, validation=2, test=3)
    text = counts_chart([rice, egg], (), name="counts")
    assert "by category, train, validation, test: egg 3, 2, 3; rice 4, 0, 3" in text
    assert [f">{split}</text>" in text for split in ("train", "validation", "test")] == [True] * 3
    plain = counts_chart([rice], (), name="counts")
    assert "train, test: rice 4, 3" in plain
    assert "validation" not in plain


def test_one_exploded_run_does_not_flatten_the_others() -> None:
    """The loss axis covers all but the rarest values, and survives infinity."""
    wild = [EPOCHS[0]._replace(test_loss=1e9), EPOCHS[1]._replace(train_loss=math.inf)]
    assert highest_loss([EPOCHS] * 40 + [wild]) < 3
    assert highest_loss([[EPOCHS[0]._replace(train_loss=math.nan, test_loss=None)]]) == 1


@pytest.mark.filterwarnings("error")
def test_runs_that_are_never_right_have_a_chart_too() -> None:
    """A scale from 0 to 0 would be none."""
    assert "<svg" in bar_chart(BarPanel("top-1, %", (ChartValue(ROWS[0], 0.0, 0.0, 0.0),), None), "top1")
