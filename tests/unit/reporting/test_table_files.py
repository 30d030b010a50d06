"""The tables as files, read back."""

import csv
import re
from pathlib import Path

import pytest

from pipeline.evaluation.bootstrap import Interval
from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper.published import Key, Measure, read_paper
from pipeline.reporting.tables import (
    NO_PAIR,
    NOT_RUN,
    ReportTable,
    as_latex,
    as_markdown,
    cell_text,
    fill,
    keys_of,
    write_tables,
)

PAPER = read_paper()
MADE = GridRun.parse("mobilenetv2+none-all")
F1 = Key((MADE,), Measure("macro_f1"))
COUNTS = {key: 40 for key in keys_of(PAPER) if key.measure.score == "count" and key.runs == (MADE,)}
OURS = {key: Interval(0.43214, 0.41019, 0.45678) for key in keys_of(PAPER) if key.runs == (MADE,)}
OURS |= dict.fromkeys(COUNTS, Interval(20.0, 14.1, 25.9))
TABLES = fill(PAPER, OURS, COUNTS, {MADE}, {})


def table(number: int) -> ReportTable:
    """Return one table."""
    return next(found for found in TABLES if found.number == number)


def test_a_cell_shows_both_numbers_in_the_papers_rounding() -> None:
    """Value, interval with fewer decimals, paper, difference of the rounded numbers."""
    assert cell_text(table(2).rows[0].cells[0]) == "0.4321 [0.410, 0.457]; 0.3765 (+0.0556)"


def test_a_run_that_was_not_made_says_so() -> None:
    """In every form, and without any number of ours."""
    cell = table(2).rows[1].cells[0]
    assert (cell.ours, cell.difference, cell.status) == (None, None, NOT_RUN)
    assert cell_text(cell) == "not run; 0.3613"
    assert sum(cell.status == NOT_RUN for found in TABLES for cell in found.cells) == sum(
        len(found.cells) for found in TABLES
    ) - len([key for key in keys_of(PAPER) if key.runs == (MADE,)])


def test_data_without_the_pair_are_no_missing_run() -> None:
    """The run was made; its data have no ketchup."""
    without = fill(PAPER, {F1: OURS[F1]}, {}, {MADE}, {})
    assert [cell.status for cell in without[0].rows[0].cells] == ["", NO_PAIR]


def test_counts_of_other_totals_have_no_difference() -> None:
    """20 of 40 is not 2 less than 22 of 38."""
    cell = table(8).rows[0].cells[0]
    assert cell_text(cell) == "20 of 40 [14.1, 25.9]; 22 of 38"
    same = fill(PAPER, OURS, dict.fromkeys(COUNTS, 38), {MADE}, {})
    assert next(found for found in same if found.number == 8).rows[0].cells[0].difference == -2


def test_numbers_under_another_perturbation_than_the_papers_have_no_difference() -> None:
    """The number stays, and every form that gives differences says why there is none."""
    moved = next(key for key in OURS if key.measure.perturbation)
    tables = fill(PAPER, OURS, COUNTS, {MADE}, {moved: "patches are larger"})
    cells = [cell for found in tables for cell in found.cells if cell.key == moved]
    assert cells
    assert {cell.difference for cell in cells} == {None}
    assert all(cell.ours == OURS[moved] for cell in cells)
    (other,) = [found for found in tables if found.number == 10]
    assert other.deviations == ("patches are larger",)
    assert as_markdown(other).endswith("\nNo difference is given where patches are larger.\n")
    assert sum(cell.difference is None for found in tables for cell in found.cells if cell.ours) == len(cells) + sum(
        cell.difference is None for found in TABLES for cell in found.cells if cell.ours
    )


def test_csv_reads_back_equal(tmp_path: Path) -> None:
    """Every cell with its numbers; what is not there is empty, not zero."""
    write_tables(TABLES, tmp_path)
    for found in TABLES:
        with (tmp_path / f"table-{found.number:02d}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(found.cells)
        for row, cell in zip(rows, found.cells, strict=True):
            assert row["runs"].split() == [run.name for run in cell.key.runs]
            assert (row["score"], row["detail"], row["status"]) == (
                cell.key.measure.score,
                cell.key.measure.detail,
                cell.status,
            )
            assert float(row["paper"]) == cell.paper
            numbers = [row[name] for name in ("ours", "low", "high")]
            assert [float(n) for n in numbers if n] == pytest.approx(list(cell.ours or ()), abs=1e-6)


def test_markdown_reads_back_equal() -> None:
    """One row a row, one cell a cell."""
    for found in TABLES:
        lines = [line.strip("| ").split(" | ") for line in as_markdown(found).splitlines() if line.startswith("|")]
        assert lines[2:] == [[row.label, *map(cell_text, row.cells)] for row in found.rows]


def test_latex_is_a_whole_environment() -> None:
    """As many columns in every line as declared, and no bare special character."""
    for found in TABLES:
        text = as_latex(found)
        body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) == 1 + 2 * len(found.rows)
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(found.columns)}
        assert not re.findall(r"(?<!\\)[%#_]", text)
