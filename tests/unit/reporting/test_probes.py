"""What the report says of frozen features follows from their numbers."""

from pathlib import Path

import pytest

from pipeline.reporting.extensions import VIEW_TITLES, read_probe_results, verdict_of, views_title
from tests.unit.reporting.study import made_up_probe


@pytest.mark.parametrize(
    ("alone", "both", "text"),
    [
        (150, 190, "The surroundings help: beside the ROI the extra-ROI adds +13.3 points of top-1 (+"),
        (190, 150, "The surroundings harm: beside the ROI the extra-ROI adds \N{MINUS SIGN}13.3 points"),
        (150, 152, "Undecided: beside the ROI the extra-ROI adds +0.7 points of top-1 ("),
    ],
)
def test_the_verdict_follows_from_the_numbers(alone: int, both: int, text: str) -> None:
    """It helps, harms or is undecided."""
    assert verdict_of(made_up_probe(alone, both)).startswith(text)


def test_random_weights_have_no_verdict() -> None:
    """Whatever their numbers."""
    assert verdict_of(made_up_probe(150, 190, weights=None)).startswith("Random weights, so nothing about food follows")


def test_every_classifier_has_a_label_and_a_dot(tmp_path: Path) -> None:
    """The drawing names all of them; a backbone that was not probed is left out."""
    (tmp_path / "tiny").mkdir()
    made_up_probe(150, 190).write(tmp_path / "tiny/probe.json")
    (found,) = read_probe_results(tmp_path, ["vit", "tiny"])
    for row in found.summary.rows:
        assert views_title(row.views) in found.chart
        assert all(VIEW_TITLES[view] in found.chart for view in row.views)
    assert read_probe_results(None, ["tiny"]) == ()
