"""The numbers the paper prints, as typed cells that name the run and what is measured.

Reference:
    arXiv 2407.08257, Tables 1 to 12; `tables.json` says how they were transcribed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from pipeline.params.run_name import ABSENT
from pipeline.reporting.grid import ALL, PAPER_NAMES, GridRun
from pipeline.reporting.paper.columns import COLUMNS, Column
from pipeline.reporting.paper.measures import Key

RUN_NAMES = {"vit_b16": "vit", "mixer_b16": "mixer", "deit_b": "deit"}
"""Our name of a backbone by `tables.json`'s, where they differ."""


class PaperCell(NamedTuple):
    """One printed number."""

    key: Key
    """What it is about."""
    value: float
    """As printed, in the paper's unit."""
    samples: int | None
    """Of a count: how many samples there are to count."""


class PaperRow(NamedTuple):
    """One row."""

    label: str
    """Classifier, or the module of a group of classifiers."""
    cells: tuple[PaperCell, ...]
    """By column."""


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One of Tables 2 to 12."""

    number: int
    caption: str
    """What it shows, in our words."""
    columns: tuple[str, ...]
    """Heads."""
    rows: tuple[PaperRow, ...]
    issues: tuple[str, ...]
    """What the transcriber found odd."""


@dataclass(frozen=True, slots=True)
class Paper:
    """Everything of the paper that is a number."""

    provenance: Mapping[str, str | int]
    """Where the numbers are from."""
    dataset: Mapping[str, Any]
    """Sample counts of section 4.1."""
    recipes: tuple[tuple[str, ...], ...]
    """Table 1, head first: how ViT-B and DeiT-B were pre-trained."""
    tables: Mapping[int, PaperTable]
    """Tables 2 to 12 by number."""

    def values(self) -> dict[Key, float]:
        """Return every number by what it is about; a number printed twice keeps its last place."""
        return {c.key: c.value for table in self.tables.values() for row in table.rows for c in row.cells}


@cache
def read_paper() -> Paper:
    """Return the paper's numbers."""
    raw = json.loads((files("pipeline.reporting.paper") / "tables.json").read_text(encoding="utf-8"))
    tables = {table["number"]: table for table in ({**t, "number": t["table"]} for t in raw["tables"])}
    members = {number: [_run(row[0], ALL) for row in tables[number]["rows"]] for number in (11, 12)}
    return Paper(
        provenance=raw["provenance"],
        dataset=raw["dataset"],
        recipes=tuple(tuple(_word(value) for value in row) for row in (tables[1]["columns"], *tables[1]["rows"])),
        tables={number: _table(tables[number], members) for number in COLUMNS},
    )


def _table(raw: Mapping[str, Any], members: Mapping[int, Sequence[GridRun]]) -> PaperTable:
    columns = COLUMNS[raw["number"]]
    return PaperTable(
        number=raw["number"],
        caption=raw["caption"],
        columns=tuple(column.head for column in columns),
        rows=tuple(_row(raw, dict(zip(raw["columns"], row, strict=True)), columns, members) for row in raw["rows"]),
        issues=tuple(issue.rstrip(".") for issue in raw.get("issues", ())),
    )


def _row(
    raw: Mapping[str, Any],
    row: Mapping[str, Any],
    columns: Sequence[Column],
    members: Mapping[int, Sequence[GridRun]],
) -> PaperRow:
    if "group_by" in raw:
        group = tuple(_name(module) for module in row["module"])
        runs = grouped(members[raw["derived_from"]], raw["group_by"], group)
        return PaperRow(module_label(group), tuple(_cell(column, row, runs, None) for column in columns))
    cells = (_cell(column, row, (_run(row["model"], column.classes),), raw.get("gt")) for column in columns)
    return PaperRow(_run(row["model"], ALL).label, tuple(cells))


def grouped(runs: Sequence[GridRun], branch: str, group: Sequence[str]) -> tuple[GridRun, ...]:
    """Return the runs whose ROI or extra-ROI branch is of a group; those a row of Tables 5, 6 or 7 averages."""
    return tuple(run for run in runs if getattr(run, branch) in group)


def module_label(group: Sequence[str]) -> str:
    """Return the backbones of a group."""
    return ", ".join(PAPER_NAMES[name] for name in group)


def _cell(
    column: Column, row: Mapping[str, Any], runs: tuple[GridRun, ...], truth: Mapping[str, int] | None
) -> PaperCell:
    value = row[column.name]
    samples = None
    if column.measure.score == "count" and truth is not None:
        samples = truth["ketchup" if column.measure.detail.startswith("0") else "chili_paste"]
    return PaperCell(Key(runs, column.measure), float(value if column.part is None else value[column.part]), samples)


def _run(model: Mapping[str, str | None], classes: str) -> GridRun:
    return GridRun(_name(model["roi"]), _name(model["extra_roi"]), classes)


def _name(model: str | None) -> str:
    return ABSENT if model is None else RUN_NAMES.get(model, model)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("_", " ")
