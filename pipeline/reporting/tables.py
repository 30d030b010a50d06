"""Tables 2 to 12 of the paper with our numbers: estimates with 95 % intervals, as records and as files."""

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.evaluation.bootstrap import Bootstrap, Interval, f1_intervals, mean_intervals, share_interval
from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper.published import (
    AMBIGUOUS,
    DIGITS,
    MACRO,
    SCALE,
    UNIT,
    Paper,
    PaperCell,
    ResultKey,
    Score,
    mean_over,
)
from pipeline.reporting.results import RunPredictions
from pipeline.runtime.errors import EvaluationError
from pipeline.runtime.escaping import latex, markdown, spreadsheet

INTERVALS = {
    "macro_f1": "percentile bootstrap over photos",
    "ambiguous_f1": "percentile bootstrap over photos",
    "top1": "percentile bootstrap over photos",
    "change": "percentile bootstrap over photos, paired: with and without the disturbance on the same resamples",
    "count": "percentile bootstrap over the photos of that class, times its samples",
}
"""How the 95 % interval of a score is computed."""
NOT_RUN = "not run"
NO_PAIR = "no such pair"
"""The run was evaluated, but its data have no ambiguous pair."""
PLACES = 6
INTERVAL_DIGITS: dict[Score, int] = {"macro_f1": 3, "ambiguous_f1": 3, "top1": 1, "change": 1, "count": 1}
CSV_HEAD = (
    "row", "column", "runs", "score", "detail", "paper", "ours", "low", "high", "difference", "paper_samples",
    "our_samples", "status",
)  # fmt: skip
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def estimate(
    keys: Iterable[ResultKey], predictions: Mapping[GridRun, RunPredictions], bootstrap: Bootstrap
) -> dict[ResultKey, Interval]:
    """Return value and interval, in the paper's unit, of every key whose runs were all evaluated.

    Args:
        keys: What to estimate.
        predictions: Predictions by run.
        bootstrap: How to resample photos.

    Raises:
        EvaluationError: If runs that are averaged were evaluated on different samples.
    """
    wanted = [key for key in dict.fromkeys(keys) if all(run in predictions for run in key.runs)]
    found: dict[ResultKey, Interval] = {}
    for run in dict.fromkeys(key.runs[0] for key in wanted if key.measure.score in {"macro_f1", "ambiguous_f1"}):
        one = predictions[run]
        macro, pair = f1_intervals(one.targets, one.predictions, one.photo_ids, one.pair, bootstrap)
        found[ResultKey((run,), MACRO)] = macro
        if pair is not None:
            found[ResultKey((run,), AMBIGUOUS)] = pair
    found |= _changes([key for key in wanted if key.measure.score == "change"], predictions, bootstrap)
    for key in wanted:
        if key.measure.score in {"top1", "count"}:
            interval = _share(key, predictions[key.runs[0]], bootstrap)
            if interval is not None:
                found[key] = interval
    return {key: _scaled(found[key], SCALE[key.measure.score]) for key in wanted if key in found}


def _scaled(interval: Interval, scale: float) -> Interval:
    return Interval(*(scale * value for value in interval))


def _share(key: ResultKey, one: RunPredictions, bootstrap: Bootstrap) -> Interval | None:
    """Return the accuracy, or the number of samples in a cell of the pair's confusion matrix."""
    cell = key.measure.cell
    if cell is None:
        predictions = one.under(key.measure.perturbation)
        return None if predictions is None else share_interval(predictions == one.targets, one.photo_ids, bootstrap)
    if one.pair is None:
        return None
    target, prediction = (one.pair[place] for place in cell)
    rows = np.flatnonzero(one.targets == target)
    photo_ids = [one.photo_ids[row] for row in rows]
    return _scaled(share_interval(one.predictions[rows] == prediction, photo_ids, bootstrap), float(len(rows)))


def _changes(
    keys: Sequence[ResultKey], predictions: Mapping[GridRun, RunPredictions], bootstrap: Bootstrap
) -> dict[ResultKey, Interval]:
    """Return mean changes of top-1; all are resampled together, so that means over runs are paired too."""
    columns: dict[ResultKey, np.ndarray] = {}
    for key in keys:
        changes = {}  # by run and sample: 1 where the perturbation corrects a prediction, -1 where it spoils one
        for run in key.runs:
            one = predictions[run]
            perturbed = one.under(key.measure.perturbation)
            if perturbed is not None:
                before, after = ((found == one.targets).astype(np.float64) for found in (one.predictions, perturbed))
                changes[run] = after - before
        mean = mean_over(key.runs, changes)
        if mean is not None:
            columns[key] = mean
    if not columns:
        return {}
    runs = [run for key in columns for run in key.runs]
    first = predictions[runs[0]]
    if any(predictions[run].sample_ids != first.sample_ids for run in runs):
        raise EvaluationError(
            "runs of one class set were evaluated on different samples; run `dvc repro evaluate perturb`"
        )
    intervals = mean_intervals(np.column_stack(list(columns.values())), first.photo_ids, bootstrap)
    return dict(zip(columns, intervals, strict=True))


def f1_by_run(predictions: Mapping[GridRun, RunPredictions], bootstrap: Bootstrap) -> dict[str, dict[str, Interval]]:
    """Return macro F1 and F1 of the pair with their intervals, by score and by name of the run."""
    keys = {
        measure.score: {run.name: ResultKey((run,), measure) for run in predictions} for measure in (MACRO, AMBIGUOUS)
    }
    found = estimate([key for by_run in keys.values() for key in by_run.values()], predictions, bootstrap)
    return {score: {run: found[key] for run, key in by_run.items() if key in found} for score, by_run in keys.items()}


class TableCell(NamedTuple):
    """A number of the paper beside ours."""

    key: ResultKey
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
        """Whether ours has the paper's total of samples and the paper's perturbation."""
        return self.ours is not None and self.samples[0] == self.samples[1] and not self.deviation

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, both rounded, in the table's unit; None where they are not comparable."""
        if self.ours is None or not self.comparable:
            return None
        return round(round(self.ours.value, self.digits) - self.paper, self.digits)

    @property
    def digits(self) -> int:
        """Decimals the paper prints."""
        return DIGITS[self.key.measure.score]


class TableRow(NamedTuple):
    """One row of a table."""

    label: str
    cells: tuple[TableCell, ...]


class ReportTable(NamedTuple):
    """A table of the paper with our numbers."""

    number: int
    caption: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    issues: tuple[str, ...]
    """What is odd about the printed table."""

    @property
    def cells(self) -> tuple[TableCell, ...]:
        """All cells, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)

    @property
    def deviations(self) -> tuple[str, ...]:
        """How our perturbations differ from the paper's, each way once."""
        return tuple(dict.fromkeys(cell.deviation for cell in self.cells if cell.ours and cell.deviation))

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the columns, each once."""
        return tuple(dict.fromkeys(UNIT[cell.key.measure.score] for cell in self.cells))

    @property
    def intervals(self) -> tuple[str, ...]:
        """How the intervals are computed, each way once."""
        return tuple(dict.fromkeys(INTERVALS[cell.key.measure.score] for cell in self.cells))


def paper_tables(
    paper: Paper, predictions: Mapping[GridRun, RunPredictions], bootstrap: Bootstrap
) -> tuple[ReportTable, ...]:
    """Return Tables 2 to 12 with the numbers of the runs that were evaluated."""
    keys = keys_of(paper)
    ours = estimate(keys, predictions, bootstrap)
    samples = {key: samples for key in keys if (samples := samples_of(key, predictions)) is not None}
    deviations = {key: text for key in keys if (text := deviation_of(key, predictions))}
    return fill_tables(paper, ours, samples, predictions.keys(), deviations)


def keys_of(paper: Paper) -> list[ResultKey]:
    """Return the keys of the cells of all tables."""
    return [cell.key for table in paper.tables.values() for cell in table.cells]


def deviation_of(key: ResultKey, predictions: Mapping[GridRun, RunPredictions]) -> str:
    """Return how our perturbation differs from the paper's of that key; empty where it does not, or there is none."""
    perturbation = key.measure.perturbation
    if perturbation is None:
        return ""
    found = (predictions[run].perturbed.get(perturbation) for run in key.runs if run in predictions)
    return next((one.deviation for one in found if one and one.deviation), "")


def samples_of(key: ResultKey, predictions: Mapping[GridRun, RunPredictions]) -> int | None:
    """Return the number of samples behind a count of ours; None for other scores and runs that were not evaluated."""
    one, cell = predictions.get(key.runs[0]), key.measure.cell
    if cell is None or one is None or one.pair is None:
        return None
    return int((one.targets == one.pair[cell.target]).sum())


def fill_tables(
    paper: Paper,
    ours: Mapping[ResultKey, Interval],
    samples: Mapping[ResultKey, int],
    evaluated: Collection[GridRun],
    deviations: Mapping[ResultKey, str],
) -> tuple[ReportTable, ...]:
    """Put our numbers beside the paper's; a cell whose run was not evaluated says so and stays empty.

    Args:
        paper: The printed tables.
        ours: Our estimates.
        samples: Samples behind our counts.
        evaluated: Runs that were evaluated.
        deviations: How our perturbations differ from the paper's, where they do.
    """

    def cell(printed: PaperCell) -> TableCell:
        key, found = printed.key, ours.get(printed.key)
        about_pair = key.measure.score in {"ambiguous_f1", "count"}
        reason = NO_PAIR if about_pair and all(run in evaluated for run in key.runs) else NOT_RUN
        counted = (printed.samples, samples.get(key))
        return TableCell(key, printed.value, found, "" if found else reason, counted, deviations.get(key, ""))

    return tuple(
        ReportTable(
            table.number,
            table.caption,
            table.columns,
            tuple(TableRow(row.label, tuple(map(cell, row.cells))) for row in table.rows),
            table.issues,
        )
        for table in paper.tables.values()
    )


def write_tables(tables: Iterable[ReportTable], folder: Path) -> None:
    """Write `table-NN.csv`, `.md` and `.tex` of every table; same tables, same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        stem = f"table-{table.number:02d}"
        for ending, text in (("csv", as_csv(table)), ("md", as_markdown(table)), ("tex", as_latex(table))):
            (folder / f"{stem}.{ending}").write_text(text, encoding="utf-8")


def as_csv(table: ReportTable) -> str:
    """Return one line per cell; absent numbers are empty."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for row in table.rows:
        for head, cell in zip(table.columns, row.cells, strict=True):
            runs, measure = " ".join(run.name for run in cell.key.runs), cell.key.measure
            ours = (None, None, None) if cell.ours is None else tuple(round(value, PLACES) for value in cell.ours)
            numbers = (cell.paper, *ours, cell.difference, *cell.samples)
            fields = (runs, measure.score, measure.detail, *numbers, cell.status or cell.deviation)
            writer.writerow(map(spreadsheet, (row.label, head, *fields)))
    return buffer.getvalue()


def as_markdown(table: ReportTable) -> str:
    """Return a pipe table; a cell is `ours [low, high] | paper (difference)` in one."""
    lines = [("", *map(markdown, table.columns)), ("---", *["---:"] * len(table.columns))]
    lines += [(markdown(row.label), *map(cell_text, row.cells)) for row in table.rows]
    title = f"**Table {table.number}.** {markdown(table.caption)}. Ours [95 % interval]; paper (ours minus paper)."
    notes = [line for text in table.deviations for line in ("", f"No difference is given where {text}.")]
    return "\n".join((title, "", *(f"| {' | '.join(cells)} |" for cells in lines), *notes)) + "\n"


def cell_text(cell: TableCell) -> str:
    """Return for instance `0.4321 [0.4102, 0.4518]; 0.4424 (-0.0103)`, or `not run; 0.4424`."""
    difference = difference_text(cell)
    return f"{our_text(cell)}; {paper_text(cell)}" + (f" ({difference})" if difference else "")


def our_text(cell: TableCell) -> str:
    """Return our number with its interval in the paper's rounding, or why there is none."""
    return cell.status if cell.ours is None else f"{value_text(cell)} [{interval_text(cell, cell.ours)}]"


def value_text(cell: TableCell) -> str:
    """Return our number in the paper's rounding, a count with its total, or why there is none."""
    if cell.ours is None:
        return cell.status
    return _signed(cell.ours.value, cell.digits, cell) + _total(cell.samples[1])


def interval_text(cell: TableCell, interval: Interval) -> str:
    """Return both ends with fewer decimals than the value."""
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


def as_latex(table: ReportTable) -> str:
    """Return a `table` environment for package booktabs; two lines per row, ours above the paper's."""
    heads = " & ".join(("", *map(_escaped, table.columns)))
    lines = []
    for row in table.rows:
        ours, paper = (" & ".join(_escaped(text(cell)) for cell in row.cells) for text in (our_text, paper_text))
        lines += [rf"{_escaped(row.label)} & {ours} \\", rf"\quad paper & {paper} \\"]
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


def _escaped(text: str) -> str:
    return latex(text).replace(MINUS, "$-$").replace(DASH, "--")
