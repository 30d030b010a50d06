"""The paper's numbers as data."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from pipeline.evaluation.perturbation import PerturbationKey
from pipeline.reporting.grid import ALL, NO_SAUCE, PAPER_RUNS, GridRun
from pipeline.reporting.paper.published import GROUPED, Measure, PairCell, ResultKey, mean_over, read_paper, regroup

PAPER = read_paper()


def value(run: GridRun, measure: Measure) -> float:
    """Look up one printed number."""
    return PAPER.values()[ResultKey((run,), measure)]


@pytest.mark.parametrize(
    ("run", "measure", "printed"),
    [
        (GridRun("mixer", "none", ALL), Measure("ambiguous_f1"), 0.6167),
        (GridRun("none", "deit_distilled", ALL), Measure("macro_f1"), 0.2269),
        (GridRun("vit", "mobilenetv2", ALL), Measure("ambiguous_f1"), 0.7905),
        (GridRun("deit_distilled", "deit_distilled", NO_SAUCE), Measure("ambiguous_f1"), 0.7544),
        (GridRun("mobilenetv2", "none", NO_SAUCE), Measure("count", cell=PairCell(1, 0)), 5),
        (GridRun("mobilenetv2", "none", ALL), Measure("change", PerturbationKey("roi")), -41.164),
        (GridRun("deit", "deit_distilled", ALL), Measure("top1", PerturbationKey("both")), 29.811),
        (GridRun("deit", "deit", ALL), Measure("change", PerturbationKey("extra_roi", (-30, 63))), 1.956),
    ],
)
def test_numbers_are_found_by_run_and_measure(run: GridRun, measure: Measure, printed: float) -> None:
    """Names of the transcription became names of our runs; values typed off the paper again."""
    assert value(run, measure) == printed


def test_every_run_is_one_of_the_grid() -> None:
    """The grid was made for these tables, so neither has a run that the other lacks."""
    named = {
        run for table in PAPER.tables.values() for row in table.rows for cell in row.cells for run in cell.key.runs
    }
    assert named == set(PAPER_RUNS)


def test_every_number_of_the_transcription_is_in_a_cell() -> None:
    """Counted: 2 a row of Tables 2 to 4, 3 of 5 to 7 and 10, 8 of 8, 4 of 9, 7 of 11 and 12."""
    cells = {number: sum(len(row.cells) for row in table.rows) for number, table in PAPER.tables.items()}
    assert cells == {2: 10, 3: 18, 4: 18, 5: 9, 6: 9, 7: 12, 8: 32, 9: 16, 10: 15, 11: 49, 12: 49}


def test_the_project_has_the_numbers_of_the_transcription(shared: Path) -> None:
    """The same tables as handed over; only provenance was added."""
    ours = json.loads((files("pipeline.reporting.paper") / "tables.json").read_text(encoding="utf-8"))
    theirs = json.loads((shared / "paper/tables.json").read_text(encoding="utf-8"))
    assert ours["tables"] == theirs["tables"]
    assert ours["dataset"] == theirs["dataset"]
    assert ours["provenance"]["arxiv"] == "2407.08257"


@pytest.mark.parametrize("number", GROUPED)
def test_the_grouped_tables_follow_from_the_long_ones(number: int) -> None:
    """Fed with the paper's Tables 11 and 12, the code gives its Tables 5, 6 and 7 to 0.001."""
    changes = {
        cell.key: cell.paper
        for long in (11, 12)
        for row in PAPER.tables[long].rows
        for cell in row.cells
        if cell.key.measure.score == "change"
    }
    means = regroup(PAPER, changes)
    for row in PAPER.tables[number].rows:
        for cell in row.cells:
            assert means[cell.key] == pytest.approx(cell.paper, abs=0.001)


def test_a_mean_lacks_what_one_of_its_runs_lacks() -> None:
    """Nothing is filled in."""
    first, second = PAPER_RUNS[:2]
    assert mean_over((first, second), {first: 1.0, second: 2.0}) == 1.5
    assert mean_over((first, second), {first: 1.0}) is None


def test_table_1_is_a_reference() -> None:
    """Head and sixteen ingredients; absence reads as a word."""
    assert PAPER.recipes[0] == ("ingredient", "vit b", "deit b")
    assert ("erasing prob", "no", "0.25") in PAPER.recipes
    assert len(PAPER.recipes) == 17
