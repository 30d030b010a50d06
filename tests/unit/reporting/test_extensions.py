"""The masks section says what was compared, and the conclusion either way."""

import re
from pathlib import Path

import numpy as np
import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from pipeline.evaluation.bootstrap import StoredInterval
from pipeline.evaluation.mask_agreement import (
    AgreementGroup,
    AgreementSummary,
    RunTransfer,
    ShownSample,
    TransferSummary,
)
from pipeline.reporting.extensions import MaskResults, read_mask_results
from pipeline.reporting.page import FILTERS

HALF = StoredInterval(value=0.5, low=0.4, high=0.6)


def group(by: str, name: str, value: float) -> AgreementGroup:
    """Return a group of ten samples."""
    mean = StoredInterval(value=value, low=value, high=value)
    return AgreementGroup(by=by, name=name, samples=10, median_iou=0.5, iou=mean, boundary_iou=HALF, seen_iou=HALF)


def agreement(weights: str = "official") -> AgreementSummary:
    """Return what stage agreement writes."""
    groups = (group("all", "all", 0.5), group("category", "bread", 0.9), group("category", "rice", 0.1))
    shown = (ShownSample(rank="best", file="best-1.png", sample_id="test/a/1", category="bread", iou=0.9, status="ok"),)
    return AgreementSummary(source="sam", weights=weights, samples=10, image_size=224, groups=groups, shown=shown)


def transfer(ignorable: tuple[bool, bool]) -> TransferSummary:
    """Return what stage transfer writes."""
    runs = tuple(
        RunTransfer(
            run=f"{name}+vit-all", samples=10, photos=5, top1=(0.5, 0.25), macro_f1=(0.4, 0.3),
            top1_change=HALF, macro_f1_change=HALF, ignorable=fine,
        )
        for name, fine in zip(("vit", "deit"), ignorable, strict=True)
    )  # fmt: skip
    return TransferSummary(
        source="sam", weights="official", trained_on="annotation", top1_margin=0.01, macro_f1_margin=0.01, runs=runs
    )


def written(folder: Path, weights: str, ignorable: tuple[bool, bool]) -> MaskResults:
    """Write both outputs and read them back."""
    (folder / "agreement/pictures").mkdir(parents=True)
    (folder / "transfer").mkdir()
    (folder / "agreement/summary.json").write_text(agreement(weights).model_dump_json())
    (folder / "transfer/summary.json").write_text(transfer(ignorable).model_dump_json())
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "agreement/pictures/best-1.png")
    return read_mask_results(folder / "agreement", folder / "transfer")


def section(found: MaskResults) -> str:
    """Render the section alone, as text with single blanks."""
    environment = Environment(loader=PackageLoader("pipeline.reporting"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= FILTERS
    return re.sub(r"\s+", " ", environment.get_template("masks.html.j2").render(masks=found))


@pytest.mark.parametrize(
    ("ignorable", "conclusion"),
    [
        ((True, True), "ignorable for every run"),
        ((True, False), "not ignorable</strong> for 1 of 2 runs"),
        ((False, False), "not ignorable</strong> for 2 of 2 runs"),
    ],
)
def test_the_conclusion_is_printed_either_way(tmp_path: Path, ignorable: tuple[bool, bool], conclusion: str) -> None:
    """With the rule, both numbers and their intervals."""
    text = section(written(tmp_path, "official", ignorable))
    assert f"the discrepancies are {conclusion}" in text
    assert "within ±1 points of top-1 and ±0.01 of macro F1" in text
    assert "mean nothing" not in text


def test_random_weights_are_named(tmp_path: Path) -> None:
    """A trial is not taken for a result."""
    text = section(written(tmp_path, "random", (False, False)))
    assert "weights of sam are random: these masks mean nothing" in text
    assert "which says nothing about the paper" in text


def test_categories_come_worst_first(tmp_path: Path) -> None:
    """Apart from the other groups."""
    found = written(tmp_path, "official", (True, True))
    assert [each.name for each in found.groups(categories=True)] == ["rice", "bread"]
    assert [each.by for each in found.groups(categories=False)] == ["all"]
    assert found.pictures[0][1].uri.startswith("data:image/webp")


def test_without_a_comparison_one_sentence_says_so(tmp_path: Path) -> None:
    """Stages that did not run, and annotation itself."""
    none = agreement("none").model_copy(update={"samples": 0, "groups": (), "shown": ()})
    (tmp_path / "summary.json").write_text(none.model_dump_json())
    for found in (read_mask_results(None, None), read_mask_results(tmp_path, tmp_path / "absent")):
        assert not found.compared
        assert "nothing to compare" in section(found)
