"""Escape names of categories and files for Markdown, LaTeX, CSV and JSON, so that they show as text.

HTML is escaped by Jinja and markupsafe, the terminal by `pipeline.runtime.errors.printable`.
"""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

Cell = TypeVar("Cell")

MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""Characters that start emphasis, code, links, HTML, cells, formulas, mentions and bare addresses."""
COMMANDS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | COMMANDS)
FORMULA = re.compile(r"'*[=+\-@\t\r].", re.DOTALL)
"""Start of a cell that spreadsheets read as a formula, escaped or not; a lone sign is none."""


def markdown(text: str) -> str:
    """Return one line of text, escaped for the middle of a line or a cell of Markdown."""
    return MARKDOWN.sub(r"\\\g<0>", text)


def latex(text: str) -> str:
    """Return one line of text, escaped for LaTeX."""
    escaped = text.translate(LATEX)
    return "{}" + escaped if text[:1] in {"[", "*"} else escaped  # after `\\` they would be its options


def spreadsheet(cell: Cell) -> Cell | str:
    """Return a CSV cell with an apostrophe before text that a spreadsheet would run as a formula.

    Numbers and other text are unchanged; `from_spreadsheet` is the inverse.
    """
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def from_spreadsheet(cell: str) -> str:
    """Return the text of a cell written by `spreadsheet`."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table whose cells `spreadsheet` escapes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(map(spreadsheet, row) for row in rows)


def printable_json(value: object) -> str:
    """Return JSON in one line; characters that cannot be printed are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
