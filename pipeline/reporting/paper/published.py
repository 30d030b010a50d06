"""The numbers of arXiv 2407.08257, Tables 1 to 12, as typed cells that name the run and what is measured.

`tables.json` says how they were transcribed.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np

from pipeline.evaluation.bootstrap import Interval
from pipeline.evaluation.perturbation import PerturbationKey, Target
from pipeline.params.run_name import ABSENT
from pipeline.reporting.grid import ALL, NO_SAUCE, GridRun, name_of

Score: TypeAlias = Literal["macro_f1", "ambiguous_f1", "top1", "change", "count"]


class ScoreFormat(NamedTuple):
    """How the paper writes a score, and how its 95 % interval is computed."""

    scale: float  # what a share in [0, 1] is multiplied by to stand in the paper's unit
    digits: int  # decimals the paper prints; `end_digits` are those of the ends of our intervals
    end_digits: int
    unit: str
    interval: str


RESAMPLED = "percentile bootstrap over photos"
PAIRED = f"{RESAMPLED}, paired: with and without the disturbance on the same resamples"
OF_CLASS = "percentile bootstrap over the photos of that class, times its samples"
FORMATS: dict[Score, ScoreFormat] = {
    "macro_f1": ScoreFormat(1.0, 4, 3, "F1 in [0, 1]", RESAMPLED),
    "ambiguous_f1": ScoreFormat(1.0, 4, 3, "F1 in [0, 1]", RESAMPLED),
    "top1": ScoreFormat(100.0, 3, 1, "per cent", RESAMPLED),
    "change": ScoreFormat(100.0, 3, 1, "percentage points", PAIRED),
    "count": ScoreFormat(1.0, 0, 1, "samples", OF_CLASS),
}


class PairCell(NamedTuple):
    """A cell of the ambiguous pair's confusion matrix; classes are numbered 0 and 1."""

    target: int
    prediction: int

    def __str__(self) -> str:
        """Return its name in result files."""
        return f"{self.target} as {self.prediction}"


class Measure(NamedTuple):
    """What is measured of a run, under a perturbation of its inputs if there is one.

    `change` is top-1 under a perturbation minus top-1 without, `count` the samples of a cell.
    """

    score: Score
    perturbation: PerturbationKey | None = None
    cell: PairCell | None = None

    @property
    def detail(self) -> str:
        """Its name in result files among measures of one score."""
        return str(self.perturbation or self.cell or "")


class ResultKey(NamedTuple):
    """One number of one run, or its mean over several runs."""

    runs: tuple[GridRun, ...]
    measure: Measure


class TableCell(NamedTuple):
    """A number of the paper, and ours beside it; in the paper's unit."""

    key: ResultKey
    paper: float
    paper_samples: int | None  # of a count: samples of the class
    ours: Interval | None = None
    our_samples: int | None = None
    status: str = ""  # why there is no number of ours
    deviation: str = ""  # how our perturbation of the input differs from the paper's; empty where it does not
    comparable: bool = True  # whether data, size and backbones of its runs are the paper's; see `paper/setting.py`

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, both rounded; None where setting, totals of samples or perturbations differ."""
        if self.ours is None or self.paper_samples != self.our_samples or self.deviation or not self.comparable:
            return None
        digits = self.format.digits
        return round(round(self.ours.value, digits) - self.paper, digits)

    @property
    def note(self) -> str:
        """Why there is no number of ours, or no difference; empty otherwise."""
        return self.status or self.deviation or ("" if self.comparable else "other setting")

    @property
    def format(self) -> ScoreFormat:
        """How the paper writes it."""
        return FORMATS[self.key.measure.score]


class TableRow(NamedTuple):
    """One row of a table: a classifier, or the module of a group of classifiers."""

    label: str
    cells: tuple[TableCell, ...]


class ReportTable(NamedTuple):
    """One of Tables 2 to 12."""

    number: int
    caption: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    issues: tuple[str, ...]  # oddities of the printed table
    setting: str = ""  # what differs from the paper's setting in our runs, in one line; empty where nothing does

    @property
    def cells(self) -> tuple[TableCell, ...]:
        """All cells, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)

    @property
    def deviations(self) -> tuple[str, ...]:
        """How our perturbations differ from the paper's, each way once."""
        return tuple(dict.fromkeys(cell.deviation for cell in self.cells if cell.ours and cell.deviation))


class Paper(NamedTuple):
    """All numbers of the paper."""

    provenance: Mapping[str, str | int]
    dataset: Mapping[str, Any]  # sample counts of section 4.1
    recipes: tuple[tuple[str, ...], ...]  # Table 1, head first: how ViT-B and DeiT-B were pre-trained
    tables: Mapping[int, ReportTable]  # Tables 2 to 12, without numbers of ours

    def values(self) -> dict[ResultKey, float]:
        """Return every number by its key; of a number printed twice, the last."""
        return {cell.key: cell.paper for table in self.tables.values() for cell in table.cells}


class PaperColumn(NamedTuple):
    """One column of a table, of runs of one class set; a printed `accuracy (change)` makes two."""

    head: str
    name: str  # in `tables.json`
    measure: Measure
    part: str | None = None  # key inside the cell; None where the cell is a number
    classes: str = ALL


TARGETS: dict[Target, str] = {"roi": "ROI", "extra_roi": "extra-ROI", "both": "both"}  # names of a perturbed branch
PAIR = ("ketchup", "chili")
MACRO, AMBIGUOUS, TOP1 = Measure("macro_f1"), Measure("ambiguous_f1"), Measure("top1")
PLAIN = PaperColumn("plain", "no_transformation", TOP1)


def _f1(prefix: str, head: str, classes: str) -> tuple[PaperColumn, ...]:
    return (
        PaperColumn(f"F1, whole test set{head}", f"{prefix}f1_whole", MACRO, classes=classes),
        PaperColumn(f"F1, ambiguous pair{head}", f"{prefix}f1_ketchup_chili", AMBIGUOUS, classes=classes),
    )


def _perturbed(means: Sequence[PaperColumn]) -> tuple[PaperColumn, ...]:
    """Return accuracy and change of every perturbation, of whose changes other tables print means."""
    columns = [PLAIN]
    for head, name, measure, *_ in means:
        columns.append(PaperColumn(head, name, Measure("top1", measure.perturbation), "top1"))
        columns.append(PaperColumn(f"{head}, change", name, measure, "printed_change"))
    return tuple(columns)


PERMUTED = tuple(
    PaperColumn(f"{head} permuted", f"{target}_permuted", Measure("change", PerturbationKey(target)))
    for target, head in TARGETS.items()
)
MOVED = tuple(
    PaperColumn(f"dx {dx}, dy {dy}", f"dx{dx}_dy{dy}", Measure("change", PerturbationKey("extra_roi", (dx, dy))))
    for dx, dy in ((-30, 63), (60, -85), (37, 139))
)
"""By equations 6 to 8, in pixels at 224."""
COLUMNS: dict[int, tuple[PaperColumn, ...]] = {
    **dict.fromkeys((2, 3, 4), _f1("", "", ALL)),
    **dict.fromkeys((5, 6), PERMUTED),
    7: MOVED,
    8: tuple(
        PaperColumn(
            f"{PAIR[cell.target]} as {PAIR[cell.prediction]}, {side}",
            f"gt_{PAIR[cell.target]}_pred_{PAIR[cell.prediction]}",
            Measure("count", cell=cell),
            part,
            classes,
        )
        for cell in (PairCell(0, 0), PairCell(0, 1), PairCell(1, 1), PairCell(1, 0))
        for part, side, classes in (("sauce_included", "with sauce", ALL), ("sauce_excluded", "without", NO_SAUCE))
    ),
    9: _f1("included_", ", with sauce", ALL) + _f1("excluded_", ", without", NO_SAUCE),
    10: (
        PLAIN,
        PaperColumn("ROI permuted", "roi_permuted", Measure("top1", PerturbationKey("roi"))),
        PaperColumn("change", "printed_decline", Measure("change", PerturbationKey("roi"))),
    ),
    11: _perturbed(PERMUTED),
    12: _perturbed(MOVED),
}
RUN_NAMES = {None: ABSENT, "vit_b16": "vit", "mixer_b16": "mixer", "deit_b": "deit"}
"""Our name of a backbone by `tables.json`'s, where they differ."""
GROUPED = (5, 6, 7)  # tables that are means of rows of Tables 11 and 12


@cache
def read_paper() -> Paper:
    """Read `tables.json`."""
    raw = json.loads((files("pipeline.reporting.paper") / "tables.json").read_text(encoding="utf-8"))
    tables = {table["table"]: table for table in raw["tables"]}
    members = {number: [_run(row[0], ALL) for row in tables[number]["rows"]] for number in (11, 12)}
    words = {"True": "yes", "False": "no"}
    recipes = (tables[1]["columns"], *tables[1]["rows"])
    return Paper(
        provenance=raw["provenance"],
        dataset=raw["dataset"],
        recipes=tuple(tuple(words.get(str(word), str(word)).replace("_", " ") for word in row) for row in recipes),
        tables={
            number: ReportTable(
                number,
                tables[number]["caption"],
                tuple(column.head for column in columns),
                tuple(_row(tables[number], row, columns, members) for row in tables[number]["rows"]),
                tuple(issue.rstrip(".") for issue in tables[number].get("issues", ())),
            )
            for number, columns in COLUMNS.items()
        },
    )


def _run(model: Mapping[str, str | None], classes: str) -> GridRun:
    roi, extra_roi = (RUN_NAMES.get(model[branch], str(model[branch])) for branch in ("roi", "extra_roi"))
    return GridRun(roi, extra_roi, classes)


def _row(
    table: dict[str, Any], printed: list[Any], columns: Sequence[PaperColumn], members: dict[int, list[GridRun]]
) -> TableRow:
    row, cells, group = dict(zip(table["columns"], printed, strict=True)), [], tuple[GridRun, ...]()
    names = [RUN_NAMES.get(module, module) for module in row.get("module", ())]
    if names:  # a mean over the runs of a long table whose ROI or extra-ROI backbone is one of them
        group = tuple(run for run in members[table["derived_from"]] if getattr(run, table["group_by"]) in names)
    for column in columns:
        runs, value, cell = group or (_run(row["model"], column.classes),), row[column.name], column.measure.cell
        samples = None if cell is None else table["gt"][("ketchup", "chili_paste")[cell.target]]
        number = float(value if column.part is None else value[column.part])
        cells.append(TableCell(ResultKey(runs, column.measure), number, samples))
    label = ", ".join(map(name_of, names)) if group else _run(row["model"], ALL).label
    return TableRow(label, tuple(cells))


ValueT = TypeVar("ValueT", float, np.ndarray)


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
