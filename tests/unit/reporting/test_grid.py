"""The paper's runs and their names."""

from collections import Counter

import pytest

from pipeline.reporting.grid import GRID_RUNS, KINDS, PAPER_RUNS, GridRun, runs_with
from pipeline.runtime.errors import ParamsError


def test_the_paper_has_twenty_runs_of_four_kinds() -> None:
    """Eight pairs, five ROI only, three extra-ROI only, four without sauce, as notes.md lists them."""
    assert Counter(run.kind for run in PAPER_RUNS) == {
        "two branches": 8, "ROI only": 5, "extra-ROI only": 3, "without sauce": 4,
    }  # fmt: skip
    assert len(set(PAPER_RUNS)) == 20


def test_kinds_follow_each_other_in_the_papers_order() -> None:
    """Grouping by kind never reorders the paper's runs."""
    places = [KINDS.index(run.kind) for run in GRID_RUNS]
    assert places == sorted(places)


def test_fusions_of_photo_and_mask_stand_beside_the_paper() -> None:
    """They are of a kind of their own, which no table of the paper has, and come after its runs."""
    beside = [run for run in GRID_RUNS if run not in PAPER_RUNS]
    assert [run.label for run in beside] == ["MobileNetV2 + mask pooling", "MobileNetV2 + mask channel"]
    assert {run.kind for run in beside} == {"one backbone on photo and mask"}
    assert (*PAPER_RUNS, *beside) == GRID_RUNS


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (GridRun("deit", "none", "all"), "deit+none-all"),
        (GridRun("none", "vit", "all"), "none+vit-all"),
        (
            GridRun("deit_distilled", "deit_distilled", "no_sauce"),
            "deit_distilled+deit_distilled-no_sauce",
        ),
    ],
)
def test_a_name_is_the_run_and_a_run_its_name(run: GridRun, name: str) -> None:
    """Names are what dvc.yaml builds from the three parts, and parse back."""
    assert run.name == name
    assert GridRun.parse(name) == run


@pytest.mark.parametrize("name", ["", "deit", "deit+vit", "deit-all", "+-"])
def test_other_names_are_refused_with_an_example(name: str) -> None:
    """A folder name that is no run says what one looks like."""
    with pytest.raises(ParamsError, match=r"deit\+none-all"):
        GridRun.parse(name)


def test_a_variant_of_the_grid_is_not_listed_twice() -> None:
    """A run of the paper keeps its place; any other comes last."""
    assert runs_with(PAPER_RUNS[3]) == GRID_RUNS
    other = GridRun("deit", "vit", "all")
    assert runs_with(other) == (*GRID_RUNS, other)


def test_a_class_set_of_ones_own_is_a_kind_of_its_own() -> None:
    """It is not said to lack sauce."""
    assert GridRun("deit", "vit", "fruit").kind == "other class set"


def test_an_absent_branch_shows_as_a_dash() -> None:
    """Labels name both branches; a backbone that the paper lacks keeps its own name."""
    assert GridRun("deit", "none", "all").label == "DeiT + \N{EN DASH}"
    assert GridRun("none", "convnext", "all").label == "\N{EN DASH} + convnext"
