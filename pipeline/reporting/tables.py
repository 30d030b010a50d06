"""Tables 2 to 12 with our numbers beside the paper's."""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from pipeline.evaluation.bootstrap import Interval
from pipeline.reporting.estimates import INTERVALS
from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper.published import DIGITS, UNIT, Key, Paper, PaperCell, PaperTable, Score
from pipeline.runtime.escaping import latex, markdown, spreadsheet

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


# The paper's tables as files for people who go on working with them: CSV, Markdown, LaTeX.


PLACES = 6
INTERVAL_DIGITS: dict[Score, int] = {"macro_f1": 3, "ambiguous_f1": 3, "top1": 1, "change": 1, "count": 1}
CSV_HEAD = (
    "row", "column", "runs", "score", "detail", "paper", "ours", "low", "high", "difference", "paper_samples",
    "our_samples", "status",
)  # fmt: skip
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def write_tables(tables: Iterable[ReportTable], folder: Path) -> None:
    """Write `table-NN.csv`, `.md` and `.tex` of every table; same tables, same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        stem = f"table-{table.number:02d}"
        for ending, text in (("csv", as_csv(table)), ("md", as_markdown(table)), ("tex", as_latex(table))):
            (folder / f"{stem}.{ending}").write_text(text, encoding="utf-8")


def as_csv(table: ReportTable) -> str:
    """Return one line a cell; an empty field is a number that there is not."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for row in table.rows:
        for head, cell in zip(table.columns, row.cells, strict=True):
            writer.writerow(map(spreadsheet, (row.label, head, *_fields(cell))))
    return buffer.getvalue()


def _fields(cell: TableCell) -> tuple[str | float | int | None, ...]:
    runs, measure = " ".join(run.name for run in cell.key.runs), cell.key.measure
    ours = (None, None, None) if cell.ours is None else tuple(round(value, PLACES) for value in cell.ours)
    numbers = (cell.paper, *ours, cell.difference, *cell.samples)
    return (runs, measure.score, measure.detail, *numbers, cell.status or cell.deviation)


def as_markdown(table: ReportTable) -> str:
    """Return a pipe table; a cell is `ours [low, high] | paper (difference)` in one."""
    lines = [_piped(("", *map(markdown, table.columns))), _piped(["---", *["---:"] * len(table.columns)])]
    lines += [_piped((markdown(row.label), *map(cell_text, row.cells))) for row in table.rows]
    title = f"**Table {table.number}.** {markdown(table.caption)}. Ours [95 % interval]; paper (ours minus paper)."
    notes = [line for text in table.deviations for line in ("", f"No difference is given where {text}.")]
    return "\n".join((title, "", *lines, *notes)) + "\n"


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def cell_text(cell: TableCell) -> str:
    """Return for instance `0.4321 [0.4102, 0.4518]; 0.4424 (-0.0103)`, or `not run; 0.4424`."""
    return f"{our_text(cell)}; {paper_text(cell)}{_bracketed(difference_text(cell))}"


def our_text(cell: TableCell) -> str:
    """Return our number with its interval in the paper's rounding, or why there is none."""
    if cell.ours is None:
        return cell.status
    return f"{value_text(cell)} [{interval_text(cell, cell.ours)}]"


def value_text(cell: TableCell) -> str:
    """Return our number in the paper's rounding, a count with its total; why there is none if so."""
    if cell.ours is None:
        return cell.status
    return _signed(cell.ours.value, cell.digits, cell) + _total(cell.samples[1])


def interval_text(cell: TableCell, interval: Interval) -> str:
    """Return both ends with fewer decimals than the value: chance leaves no meaning to more."""
    digits = INTERVAL_DIGITS[cell.key.measure.score]
    return ", ".join(_signed(value, digits, cell) for value in interval[1:])


def paper_text(cell: TableCell) -> str:
    """Return the paper's number as printed, a count with its total."""
    return _signed(cell.paper, cell.digits, cell) + _total(cell.samples[0])


def difference_text(cell: TableCell) -> str:
    """Return ours minus the paper's with its sign; empty where there is none."""
    return "" if cell.difference is None else f"{cell.difference:+.{cell.digits}f}".replace("-", MINUS)


def _signed(value: float, digits: int, cell: TableCell) -> str:
    sign = "+" if cell.key.measure.score == "change" else ""
    return f"{value:{sign}.{digits}f}".replace("-", MINUS)


def _total(samples: int | None) -> str:
    return "" if samples is None else f" of {samples}"


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""


def as_latex(table: ReportTable) -> str:
    """Return a `table` environment that needs package booktabs; two lines a row, ours above the paper's."""
    heads = " & ".join(("", *map(_escaped, table.columns)))
    lines = [line for row in table.rows for line in _latex_rows(row.label, row.cells)]
    return "\n".join(
        (
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(table.caption)}. Above: ours, with 95\,\% interval; below: the paper's.}}",
            rf"\label{{tab:rvernet-{table.number}}}",
            rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def _latex_rows(label: str, cells: Sequence[TableCell]) -> tuple[str, str]:
    ours, paper = (" & ".join(_escaped(text(cell)) for cell in cells) for text in (our_text, paper_text))
    return rf"{_escaped(label)} & {ours} \\", rf"\quad paper & {paper} \\"


def _escaped(text: str) -> str:
    return latex(text).replace(MINUS, "$-$").replace(DASH, "--")
