"""Names that users bring, such as categories and files, in the languages they are shown in: as text, never as commands.

HTML is escaped by Jinja and markupsafe, the terminal by `pipeline.runtime.errors.printable`.
"""

import json
import re
from typing import TypeVar

Cell = TypeVar("Cell")

MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What begins emphasis, code, links, HTML, cells, mathematics, mentions and bare addresses inside a line."""
LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)
FORMULA = re.compile(r"'*[=+\-@\t\r].", re.DOTALL)
"""How a cell begins that spreadsheets take for a formula, and how once it was escaped; a sign alone is none."""


def markdown(text: str) -> str:
    """Return one line of text for the middle of a line or a cell of Markdown, which then shows it as it is."""
    return MARKDOWN.sub(r"\\\g<0>", text)


def latex(text: str) -> str:
    """Return one line of text for LaTeX, which then shows it as it is."""
    escaped = text.translate(LATEX)
    return "{}" + escaped if text[:1] in {"[", "*"} else escaped  # after `\\` they would be its options


def spreadsheet(cell: Cell) -> Cell | str:
    """Return a cell of a CSV file that no spreadsheet runs: text that begins like a formula gets an apostrophe first.

    Numbers stay as they are, and so does all other text; `from_spreadsheet` takes the apostrophe away.
    """
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def from_spreadsheet(cell: str) -> str:
    """Return the text that `spreadsheet` made a cell of."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def printable_json(value: object) -> str:
    """Return JSON in one line that is readable and drives no terminal: what cannot be printed stands as escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
