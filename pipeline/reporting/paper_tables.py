"""Tables 2 to 12 with our numbers beside the paper's."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pipeline.evaluation.intervals import Interval
from pipeline.reporting.estimates import INTERVALS
from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper.source import DIGITS, UNIT, Key, Paper, PaperCell, PaperTable

NOT_RUN = "not run"
NO_PAIR = "no such pair"
"""The run was made, but its data have no ambiguous pair."""


class TableCell(NamedTuple):
    """One number of the paper and ours."""

    key: Key
    """What both are."""
    paper: float
    """As printed."""
    ours: Interval | None
    """In the same unit; None where `status` says why."""
    status: str
    """Empty where there is a number of ours."""
    samples: tuple[int | None, int | None]
    """Of a count: samples behind the paper's and behind ours."""
    deviation: str = ""
    """How our perturbation of the input differs from the paper's; empty where it does not."""

    @property
    def comparable(self) -> bool:
        """Tell whether a difference means something.

        Counts out of different totals have none, nor have numbers under a perturbation that is not the paper's.
        """
        return self.ours is not None and self.samples[0] == self.samples[1] and not self.deviation

    @property
    def difference(self) -> float | None:
        """Return ours minus the paper's, in the table's unit, as both are rounded."""
        if self.ours is None or not self.comparable:
            return None
        return round(round(self.ours.value, self.digits) - self.paper, self.digits)

    @property
    def digits(self) -> int:
        """Return the decimals the paper prints."""
        return DIGITS[self.key.measure.score]


class TableRow(NamedTuple):
    """One row."""

    label: str
    cells: tuple[TableCell, ...]


class ReportTable(NamedTuple):
    """One table of the paper with our numbers in it."""

    number: int
    caption: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    issues: tuple[str, ...]
    """What is odd about the printed table."""

    @property
    def cells(self) -> tuple[TableCell, ...]:
        """Return all cells, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)

    @property
    def deviations(self) -> tuple[str, ...]:
        """Return how our perturbations differ from the paper's, each way once."""
        return tuple(dict.fromkeys(cell.deviation for cell in self.cells if cell.ours and cell.deviation))

    @property
    def units(self) -> tuple[str, ...]:
        """Return the units of the columns, each once."""
        return tuple(dict.fromkeys(UNIT[cell.key.measure.score] for cell in self.cells))

    @property
    def intervals(self) -> tuple[str, ...]:
        """Return how the intervals are made, each way once."""
        return tuple(dict.fromkeys(INTERVALS[cell.key.measure.score] for cell in self.cells))


def keys_of(paper: Paper) -> list[Key]:
    """Return what the cells of all tables are about."""
    return [cell.key for table in paper.tables.values() for row in table.rows for cell in row.cells]


def fill(
    paper: Paper,
    ours: Mapping[Key, Interval],
    samples: Mapping[Key, int],
    made: Collection[GridRun],
    deviations: Mapping[Key, str],
) -> tuple[ReportTable, ...]:
    """Put our numbers beside the paper's; a cell whose run was not made says so and stays empty.

    Args:
        paper: The printed tables.
        ours: Our estimates.
        samples: Samples behind our counts.
        made: Runs that were evaluated.
        deviations: How our perturbations differ from the paper's, where they do.
    """

    def cell(printed: PaperCell) -> TableCell:
        key, found = printed.key, ours.get(printed.key)
        status = "" if found else _why_not(key, made)
        counted = (printed.samples, samples.get(key))
        return TableCell(key, printed.value, found, status, counted, deviations.get(key, ""))

    def table(printed: PaperTable) -> ReportTable:
        rows = tuple(TableRow(row.label, tuple(map(cell, row.cells))) for row in printed.rows)
        return ReportTable(printed.number, printed.caption, printed.columns, rows, printed.issues)

    return tuple(map(table, paper.tables.values()))


def _why_not(key: Key, made: Collection[GridRun]) -> str:
    about_pair = key.measure.score in {"ambiguous_f1", "count"}
    return NO_PAIR if about_pair and all(run in made for run in key.runs) else NOT_RUN
