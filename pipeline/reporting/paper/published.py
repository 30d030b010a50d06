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

    truth: int
    answer: int

    def __str__(self) -> str:
        """Return how result files name it."""
        return f"{self.truth} as {self.answer}"


class Measure(NamedTuple):
    """One number of a run."""

    score: Score
    """What is scored; `change` is top-1 under a perturbation minus top-1 without, `count` the samples of a cell."""
    perturbation: PerturbationKey | None = None
    """What is done to the inputs; None for nothing."""
    cell: PairCell | None = None
    """What is counted; None for what is no count."""

    @property
    def detail(self) -> str:
        """Return how result files tell measures of one score apart."""
        return str(self.perturbation or self.cell or "")


class Key(NamedTuple):
    """One number of one run, or its mean over several."""

    runs: tuple[GridRun, ...]
    """Runs that are averaged."""
    measure: Measure
    """What is averaged."""


def round_as_paper(value: float, score: Score) -> str:
    """Return a number in the paper's unit with the paper's decimals."""
    return f"{value:.{DIGITS[score]}f}"


class Column(NamedTuple):
    """One column as this project shows it; a printed `accuracy (change)` makes two."""

    head: str
    """Shown above."""
    name: str
    """Name of the column in `tables.json`."""
    part: str | None
    """Key inside the cell; None where the cell is a number."""
    classes: str
    """Class set of the column's runs."""
    measure: Measure
    """What is measured."""


OFFSETS = ((-30, 63), (60, -85), (37, 139))
"""Translocations (dx, dy) of equations 6 to 8, in pixels at 224."""
TARGETS: dict[Target, str] = {"roi": "ROI", "extra_roi": "extra-ROI", "both": "both"}
PAIR = ("ketchup", "chili")
MACRO, AMBIGUOUS, TOP1 = Measure("macro_f1"), Measure("ambiguous_f1"), Measure("top1")


def _f1(prefix: str, head: str, classes: str) -> tuple[Column, ...]:
    return (
        Column(f"F1, whole test set{head}", f"{prefix}f1_whole", None, classes, MACRO),
        Column(f"F1, ambiguous pair{head}", f"{prefix}f1_ketchup_chili", None, classes, AMBIGUOUS),
    )


def _means(names: dict[str, tuple[str, PerturbationKey]]) -> tuple[Column, ...]:
    return tuple(Column(head, name, None, ALL, Measure("change", key)) for name, (head, key) in names.items())


def _perturbed(names: dict[str, tuple[str, PerturbationKey]]) -> tuple[Column, ...]:
    """Return accuracy and change of every perturbation."""
    plain = Column("plain", "no_transformation", None, ALL, TOP1)
    pairs = (
        (
            Column(head, name, "top1", ALL, Measure("top1", key)),
            Column(f"{head}, change", name, "printed_change", ALL, Measure("change", key)),
        )
        for name, (head, key) in names.items()
    )
    return (plain, *(column for pair in pairs for column in pair))


def _counts() -> tuple[Column, ...]:
    """Return the counts of Table 8; the paper lists right and wrong answers to ketchup, then to chili paste."""
    cells = ((0, 0), (0, 1), (1, 1), (1, 0))
    sides = (("sauce_included", "with sauce", ALL), ("sauce_excluded", "without", NO_SAUCE))
    return tuple(
        Column(
            f"{PAIR[truth]} as {PAIR[answer]}, {side}",
            f"gt_{PAIR[truth]}_pred_{PAIR[answer]}",
            part,
            classes,
            Measure("count", cell=PairCell(truth, answer)),
        )
        for truth, answer in cells
        for part, side, classes in sides
    )


PERMUTED = {f"{target}_permuted": (f"{head} permuted", PerturbationKey(target)) for target, head in TARGETS.items()}
MOVED = {f"dx{dx}_dy{dy}": (f"dx {dx}, dy {dy}", PerturbationKey("extra_roi", (dx, dy))) for dx, dy in OFFSETS}
PERMUTED_ROI = PerturbationKey("roi")
SINGLE = (
    Column("plain", "no_transformation", None, ALL, TOP1),
    Column("ROI permuted", "roi_permuted", None, ALL, Measure("top1", PERMUTED_ROI)),
    Column("change", "printed_decline", None, ALL, Measure("change", PERMUTED_ROI)),
)
COLUMNS: dict[int, tuple[Column, ...]] = {
    2: _f1("", "", ALL),
    3: _f1("", "", ALL),
    4: _f1("", "", ALL),
    5: _means(PERMUTED),
    6: _means(PERMUTED),
    7: _means(MOVED),
    8: _counts(),
    9: _f1("included_", ", with sauce", ALL) + _f1("excluded_", ", without", NO_SAUCE),
    10: SINGLE,
    11: _perturbed(PERMUTED),
    12: _perturbed(MOVED),
}
"""By table of the paper."""

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
    if column.measure.cell is not None and truth is not None:
        samples = truth[("ketchup", "chili_paste")[column.measure.cell.truth]]
    return PaperCell(Key(runs, column.measure), float(value if column.part is None else value[column.part]), samples)


def _run(model: Mapping[str, str | None], classes: str) -> GridRun:
    return GridRun(_name(model["roi"]), _name(model["extra_roi"]), classes)


def _name(model: str | None) -> str:
    return ABSENT if model is None else RUN_NAMES.get(model, model)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("_", " ")


# Means over groups of runs: how Tables 5, 6 and 7 follow from Tables 11 and 12, the paper's or ours.


ValueT = TypeVar("ValueT", float, np.ndarray)

GROUPED = (5, 6, 7)
"""Tables that are means of rows of Tables 11 and 12."""


def mean_over(runs: Sequence[GridRun], results: Mapping[GridRun, ValueT]) -> ValueT | None:
    """Return the mean of some runs' results, numbers or arrays; None unless every one of them is there."""
    if not all(run in results for run in runs):
        return None
    return sum((results[run] for run in runs[1:]), results[runs[0]]) / len(runs)


def regroup(paper: Paper, values: Mapping[Key, float]) -> dict[Key, float | None]:
    """Return every cell of Tables 5, 6 and 7 from the changes of single runs.

    Args:
        paper: Which cells there are and which runs each averages.
        values: Changes of single runs; the paper's own are `paper.values()`.
    """
    keys = [cell.key for number in GROUPED for row in paper.tables[number].rows for cell in row.cells]
    return {key: mean_over(key.runs, _single(values, key)) for key in keys}


def _single(values: Mapping[Key, float], key: Key) -> dict[GridRun, float]:
    keys = {run: Key((run,), key.measure) for run in key.runs}
    return {run: values[single] for run, single in keys.items() if single in values}
