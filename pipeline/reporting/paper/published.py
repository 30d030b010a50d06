"""The numbers the paper prints, as typed cells that name the run and what is measured.

Reference:
    arXiv 2407.08257, Tables 1 to 12; `tables.json` says how they were transcribed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np

from pipeline.evaluation.perturbation import PerturbationKey, Target
from pipeline.params.run_name import ABSENT
from pipeline.reporting.grid import ALL, NO_SAUCE, PAPER_NAMES, GridRun

Score: TypeAlias = Literal["macro_f1", "ambiguous_f1", "top1", "change", "count"]

SCALE: dict[Score, float] = {"macro_f1": 1.0, "ambiguous_f1": 1.0, "top1": 100.0, "change": 100.0, "count": 1.0}
"""What a share in [0, 1] is multiplied by to stand in the paper's unit."""
DIGITS: dict[Score, int] = {"macro_f1": 4, "ambiguous_f1": 4, "top1": 3, "change": 3, "count": 0}
"""Decimals the paper prints."""
UNIT: dict[Score, str] = {
    "macro_f1": "F1 in [0, 1]",
    "ambiguous_f1": "F1 in [0, 1]",
    "top1": "per cent",
    "change": "percentage points",
    "count": "samples",
}


class PairCell(NamedTuple):
    """A cell of the ambiguous pair's confusion matrix; classes are numbered 0 and 1."""

    target: int
    prediction: int

    def __str__(self) -> str:
        """Return its name in result files."""
        return f"{self.target} as {self.prediction}"


class Measure(NamedTuple):
    """What is measured of a run."""

    score: Score
    """`change` is top-1 under a perturbation minus top-1 without, `count` the samples of a cell."""
    perturbation: PerturbationKey | None = None
    """Perturbation of the inputs, if any."""
    cell: PairCell | None = None
    """Of score `count`."""

    @property
    def detail(self) -> str:
        """Its name in result files among measures of one score."""
        return str(self.perturbation or self.cell or "")


class ResultKey(NamedTuple):
    """One number of one run, or its mean over several runs."""

    runs: tuple[GridRun, ...]
    measure: Measure


class PaperColumn(NamedTuple):
    """One column of a table; a printed `accuracy (change)` makes two."""

    head: str
    """Shown above."""
    name: str
    """Name of the column in `tables.json`."""
    part: str | None
    """ResultKey inside the cell; None where the cell is a number."""
    classes: str
    """Class set of the column's runs."""
    measure: Measure


OFFSETS = ((-30, 63), (60, -85), (37, 139))
"""Translocations (dx, dy) of equations 6 to 8, in pixels at 224."""
TARGETS: dict[Target, str] = {"roi": "ROI", "extra_roi": "extra-ROI", "both": "both"}
PAIR = ("ketchup", "chili")
MACRO, AMBIGUOUS, TOP1 = Measure("macro_f1"), Measure("ambiguous_f1"), Measure("top1")


def _f1(prefix: str, head: str, classes: str) -> tuple[PaperColumn, ...]:
    return (
        PaperColumn(f"F1, whole test set{head}", f"{prefix}f1_whole", None, classes, MACRO),
        PaperColumn(f"F1, ambiguous pair{head}", f"{prefix}f1_ketchup_chili", None, classes, AMBIGUOUS),
    )


def _means(names: dict[str, tuple[str, PerturbationKey]]) -> tuple[PaperColumn, ...]:
    return tuple(PaperColumn(head, name, None, ALL, Measure("change", key)) for name, (head, key) in names.items())


def _perturbed(names: dict[str, tuple[str, PerturbationKey]]) -> tuple[PaperColumn, ...]:
    """Return accuracy and change of every perturbation."""
    plain = PaperColumn("plain", "no_transformation", None, ALL, TOP1)
    pairs = (
        (
            PaperColumn(head, name, "top1", ALL, Measure("top1", key)),
            PaperColumn(f"{head}, change", name, "printed_change", ALL, Measure("change", key)),
        )
        for name, (head, key) in names.items()
    )
    return (plain, *(column for pair in pairs for column in pair))


PERMUTED = {f"{target}_permuted": (f"{head} permuted", PerturbationKey(target)) for target, head in TARGETS.items()}
MOVED = {f"dx{dx}_dy{dy}": (f"dx {dx}, dy {dy}", PerturbationKey("extra_roi", (dx, dy))) for dx, dy in OFFSETS}
COLUMNS: dict[int, tuple[PaperColumn, ...]] = {
    2: _f1("", "", ALL),
    3: _f1("", "", ALL),
    4: _f1("", "", ALL),
    5: _means(PERMUTED),
    6: _means(PERMUTED),
    7: _means(MOVED),
    8: tuple(
        PaperColumn(
            f"{PAIR[cell.target]} as {PAIR[cell.prediction]}, {side}",
            f"gt_{PAIR[cell.target]}_pred_{PAIR[cell.prediction]}",
            part,
            classes,
            Measure("count", cell=cell),
        )
        for cell in (PairCell(0, 0), PairCell(0, 1), PairCell(1, 1), PairCell(1, 0))
        for part, side, classes in (("sauce_included", "with sauce", ALL), ("sauce_excluded", "without", NO_SAUCE))
    ),
    9: _f1("included_", ", with sauce", ALL) + _f1("excluded_", ", without", NO_SAUCE),
    10: (
        PaperColumn("plain", "no_transformation", None, ALL, TOP1),
        PaperColumn("ROI permuted", "roi_permuted", None, ALL, Measure("top1", PerturbationKey("roi"))),
        PaperColumn("change", "printed_decline", None, ALL, Measure("change", PerturbationKey("roi"))),
    ),
    11: _perturbed(PERMUTED),
    12: _perturbed(MOVED),
}
"""By table of the paper."""

RUN_NAMES = {"vit_b16": "vit", "mixer_b16": "mixer", "deit_b": "deit"}
"""Our name of a backbone by `tables.json`'s, where they differ."""


class PaperCell(NamedTuple):
    """One printed number."""

    key: ResultKey
    value: float
    """In the paper's unit."""
    samples: int | None
    """Of a count: samples of the class."""


class PaperRow(NamedTuple):
    """One row of a printed table."""

    label: str
    """Classifier, or the module of a group of classifiers."""
    cells: tuple[PaperCell, ...]


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One of Tables 2 to 12."""

    number: int
    caption: str
    """In our words."""
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    issues: tuple[str, ...]
    """Oddities of the printed table."""

    @property
    def cells(self) -> tuple[PaperCell, ...]:
        """All cells, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)


@dataclass(frozen=True, slots=True)
class Paper:
    """All numbers of the paper."""

    provenance: Mapping[str, str | int]
    """Where the numbers are from."""
    dataset: Mapping[str, Any]
    """Sample counts of section 4.1."""
    recipes: tuple[tuple[str, ...], ...]
    """Table 1, head first: how ViT-B and DeiT-B were pre-trained."""
    tables: Mapping[int, PaperTable]
    """Tables 2 to 12 by number."""

    def values(self) -> dict[ResultKey, float]:
        """Return every number by its key; of a number printed twice, the last."""
        return {cell.key: cell.value for table in self.tables.values() for cell in table.cells}


@cache
def read_paper() -> Paper:
    """Read `tables.json`."""
    raw = json.loads((files("pipeline.reporting.paper") / "tables.json").read_text(encoding="utf-8"))
    tables = {table["table"]: table for table in raw["tables"]}
    members = {number: [_run(row[0], ALL) for row in tables[number]["rows"]] for number in (11, 12)}
    return Paper(
        provenance=raw["provenance"],
        dataset=raw["dataset"],
        recipes=tuple(tuple(map(_word, row)) for row in (tables[1]["columns"], *tables[1]["rows"])),
        tables={
            number: PaperTable(
                number=number,
                caption=tables[number]["caption"],
                columns=tuple(column.head for column in columns),
                rows=tuple(_row(tables[number], row, columns, members) for row in tables[number]["rows"]),
                issues=tuple(issue.rstrip(".") for issue in tables[number].get("issues", ())),
            )
            for number, columns in COLUMNS.items()
        },
    )


def _row(
    table: Mapping[str, Any],
    printed: Sequence[Any],
    columns: Sequence[PaperColumn],
    members: Mapping[int, Sequence[GridRun]],
) -> PaperRow:
    row = dict(zip(table["columns"], printed, strict=True))
    if "group_by" in table:
        group = tuple(_name(module) for module in row["module"])
        runs = grouped(members[table["derived_from"]], table["group_by"], group)
        label = ", ".join(PAPER_NAMES[name] for name in group)
        return PaperRow(label, tuple(_cell(column, row, runs, None) for column in columns))
    cells = (_cell(column, row, (_run(row["model"], column.classes),), table.get("gt")) for column in columns)
    return PaperRow(_run(row["model"], ALL).label, tuple(cells))


def grouped(runs: Sequence[GridRun], branch: str, group: Sequence[str]) -> tuple[GridRun, ...]:
    """Return the runs whose ROI or extra-ROI backbone is in a group, as a row of Tables 5, 6 or 7 averages them."""
    return tuple(run for run in runs if getattr(run, branch) in group)


def _cell(
    column: PaperColumn, row: Mapping[str, Any], runs: tuple[GridRun, ...], truth: Mapping[str, int] | None
) -> PaperCell:
    value = row[column.name]
    samples = None
    if column.measure.cell is not None and truth is not None:
        samples = truth[("ketchup", "chili_paste")[column.measure.cell.target]]
    return PaperCell(
        ResultKey(runs, column.measure), float(value if column.part is None else value[column.part]), samples
    )


def _run(model: Mapping[str, str | None], classes: str) -> GridRun:
    return GridRun(_name(model["roi"]), _name(model["extra_roi"]), classes)


def _name(model: str | None) -> str:
    return ABSENT if model is None else RUN_NAMES.get(model, model)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("_", " ")


ValueT = TypeVar("ValueT", float, np.ndarray)

GROUPED = (5, 6, 7)
"""Tables that are means of rows of Tables 11 and 12."""


def mean_over(runs: Sequence[GridRun], results: Mapping[GridRun, ValueT]) -> ValueT | None:
    """Return the mean result of some runs, a number or an array; None if one of them is absent."""
    if not all(run in results for run in runs):
        return None
    return sum((results[run] for run in runs[1:]), results[runs[0]]) / len(runs)


def regroup(paper: Paper, values: Mapping[ResultKey, float]) -> dict[ResultKey, float | None]:
    """Return every cell of Tables 5, 6 and 7 as a mean of the changes of single runs in `values`."""
    means = {}
    for key in (cell.key for number in GROUPED for cell in paper.tables[number].cells):
        keys = {run: ResultKey((run,), key.measure) for run in key.runs}
        means[key] = mean_over(key.runs, {run: values[one] for run, one in keys.items() if one in values})
    return means
