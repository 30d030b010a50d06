"""The paper's tables as files for people who go on working with them: CSV, Markdown, LaTeX."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

from pipeline.escaping import latex, markdown, spreadsheet
from pipeline.evaluation.intervals import Interval
from pipeline.reporting.paper.source import Score
from pipeline.reporting.paper_tables import ReportTable, TableCell

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
