"""Tables 2 to 12 of the paper with our numbers: estimates with 95 % intervals, as records and as files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.evaluation.bootstrap import Bootstrap, Interval, mean_intervals, score_intervals, share_interval
from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper import published
from pipeline.reporting.paper.published import Paper, ReportTable, ResultKey, TableCell, TableRow, mean_over
from pipeline.reporting.paper.setting import Deviations, setting_line
from pipeline.reporting.results import RunPredictions
from pipeline.runtime.errors import EvaluationError
from pipeline.runtime.escaping import latex, markdown, write_csv

NOT_RUN = "not run"
NO_PAIR = "no such pair"  # the run was evaluated, but its data have no ambiguous pair
PLACES = 6
F1 = (published.MACRO, published.AMBIGUOUS)
CSV_HEAD = (
    "row", "column", "runs", "score", "detail", "paper", "ours", "low", "high", "difference", "paper_samples",
    "our_samples", "status",
)  # fmt: skip
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def estimate(
    keys: Iterable[ResultKey], predictions: Mapping[GridRun, RunPredictions], bootstrap: Bootstrap
) -> dict[ResultKey, Interval]:
    """Return value and interval, in the paper's unit, of every key whose runs were all evaluated.

    Raises:
        EvaluationError: If runs that are averaged were evaluated on different samples.
    """
    wanted = [key for key in dict.fromkeys(keys) if all(run in predictions for run in key.runs)]
    found = _changes([key for key in wanted if key.measure.score == "change"], predictions, bootstrap)
    for run in dict.fromkeys(key.runs[0] for key in wanted if key.measure.score in {"macro_f1", "ambiguous_f1"}):
        one = predictions[run]
        scores = score_intervals(one.targets, one.predictions, one.photo_ids, one.pair, bootstrap)
        found |= {ResultKey((run,), measure): scores[measure.score] for measure in F1 if measure.score in scores}
    for key in wanted:
        one, cell = predictions[key.runs[0]], key.measure.cell
        if key.measure.score == "top1":
            predicted = one.under(key.measure.perturbation)
            if predicted is not None:
                found[key] = share_interval(predicted == one.targets, one.photo_ids, bootstrap)
        elif cell is not None and one.pair is not None:  # a cell of the pair's confusion matrix
            rows = np.flatnonzero(one.targets == one.pair[cell.target])
            photo_ids = [one.photo_ids[row] for row in rows]
            share = share_interval(one.predictions[rows] == one.pair[cell.prediction], photo_ids, bootstrap)
            found[key] = Interval(*(float(len(rows)) * value for value in share))
    scale_of = {key: published.FORMATS[key.measure.score].scale for key in wanted if key in found}
    return {key: Interval(*(scale * value for value in found[key])) for key, scale in scale_of.items()}


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


def f1_by_run(ours: Mapping[ResultKey, Interval]) -> dict[str, dict[str, Interval]]:
    """Return macro F1 and F1 of the pair of `estimate`, by score and by name of the run."""
    return {
        measure.score: {key.runs[0].name: interval for key, interval in ours.items() if key.measure == measure}
        for measure in F1
    }


def keys_of(paper: Paper, runs: Iterable[GridRun] = ()) -> list[ResultKey]:
    """Return the keys of the cells of all tables, and of both kinds of F1 of some runs."""
    cells = [cell.key for table in paper.tables.values() for cell in table.cells]
    return cells + [ResultKey((run,), measure) for run in runs for measure in F1]


def paper_tables(
    paper: Paper,
    predictions: Mapping[GridRun, RunPredictions],
    ours: Mapping[ResultKey, Interval],
    settings: Mapping[GridRun, Deviations],
) -> tuple[ReportTable, ...]:
    """Return Tables 2 to 12 with the numbers of `estimate`; a cell whose run was not evaluated says so.

    `settings` say of every evaluated run how its setting differs from the paper's.
    """

    def fill(cell: TableCell) -> TableCell:
        key, found = cell.key, ours.get(cell.key)
        evaluated = [predictions[run] for run in key.runs if run in predictions]
        samples = None  # behind a count
        if key.measure.cell is not None and evaluated and evaluated[0].pair is not None:
            samples = int((evaluated[0].targets == evaluated[0].pair[key.measure.cell.target]).sum())
        perturbed = (one.perturbed.get(key.measure.perturbation) for one in evaluated if key.measure.perturbation)
        about_pair = key.measure.score in {"ambiguous_f1", "count"}
        reason = NO_PAIR if about_pair and len(evaluated) == len(key.runs) else NOT_RUN
        return cell._replace(
            ours=found,
            our_samples=samples,
            status="" if found else reason,
            deviation=next((one.deviation for one in perturbed if one and one.deviation), ""),
            comparable=not any(settings[run].decisive for run in key.runs if run in settings),
        )

    tables = []
    for table in paper.tables.values():
        rows = tuple(TableRow(row.label, tuple(map(fill, row.cells))) for row in table.rows)
        shown = dict.fromkeys(run for row in rows for cell in row.cells if cell.ours for run in cell.key.runs)
        tables.append(table._replace(rows=rows, setting=setting_line(settings[run] for run in shown)))
    return tuple(tables)


def write_tables(tables: Iterable[ReportTable], folder: Path) -> None:
    """Write `table-NN.csv`, `.md` and `.tex` of every table; same tables, same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        path = folder / f"table-{table.number:02d}"
        write_csv(path.with_suffix(".csv"), CSV_HEAD, _csv_rows(table))
        path.with_suffix(".md").write_text(as_markdown(table), encoding="utf-8")
        path.with_suffix(".tex").write_text(as_latex(table), encoding="utf-8")


def _csv_rows(table: ReportTable) -> Iterator[tuple[object, ...]]:
    """Yield a row per cell; absent numbers are empty."""
    for row in table.rows:
        for head, cell in zip(table.columns, row.cells, strict=True):
            runs, measure = " ".join(run.name for run in cell.key.runs), cell.key.measure
            ours = [round(value, PLACES) for value in cell.ours] if cell.ours else [None] * 3
            numbers = (cell.paper, *ours, cell.difference, cell.paper_samples, cell.our_samples)
            yield row.label, head, runs, measure.score, measure.detail, *numbers, cell.note


def as_markdown(table: ReportTable) -> str:
    """Return a pipe table; a cell is `ours [low, high] | paper (difference)` in one."""
    lines = [("", *map(markdown, table.columns)), ("---", *["---:"] * len(table.columns))]
    lines += [(markdown(row.label), *map(cell_text, row.cells)) for row in table.rows]
    title = f"**Table {table.number}.** {markdown(table.caption)}. Ours [95 % interval]; paper"
    title += " (ours minus paper)." if any(cell.difference is not None for cell in table.cells) else "."
    texts = [table.setting] if table.setting else []
    texts += [f"No difference is given where {text}." for text in table.deviations]
    notes = [line for text in texts for line in ("", markdown(text))]
    return "\n".join((title, "", *(f"| {' | '.join(cells)} |" for cells in lines), *notes)) + "\n"


def cell_text(cell: TableCell) -> str:
    """Return for instance `0.4321 [0.4102, 0.4518]; 0.4424 (-0.0103)`, or `not run; 0.4424`."""
    difference = difference_text(cell)
    return f"{our_text(cell)}; {paper_text(cell)}" + (f" ({difference})" if difference else "")


def our_text(cell: TableCell) -> str:
    """Return our number with its interval in the paper's rounding, or why there is none."""
    return f"{value_text(cell)} [{interval_text(cell)}]" if cell.ours else cell.status


def value_text(cell: TableCell) -> str:
    """Return our number in the paper's rounding, a count with its total, or why there is none."""
    return _number(cell, cell.ours.value, cell.our_samples) if cell.ours else cell.status


def interval_text(cell: TableCell) -> str:
    """Return both ends of our interval with fewer decimals than the value."""
    ends = cell.ours[1:] if cell.ours else ()
    return ", ".join(_number(cell, end, digits=cell.format.end_digits) for end in ends)


def paper_text(cell: TableCell) -> str:
    """Return the paper's number as printed, a count with its total."""
    return _number(cell, cell.paper, cell.paper_samples)


def difference_text(cell: TableCell) -> str:
    """Return ours minus the paper's with its sign; empty where there is none."""
    return "" if cell.difference is None else f"{cell.difference:+.{cell.format.digits}f}".replace("-", MINUS)


def points(change: float | None) -> str:
    """Return a difference of shares in percentage points with its sign; a dash where there is none."""
    return DASH if change is None else f"{100 * change:+.1f}".replace("-", MINUS)


def _number(cell: TableCell, value: float, total: int | None = None, digits: int | None = None) -> str:
    sign, digits = "+" if cell.key.measure.score == "change" else "", cell.format.digits if digits is None else digits
    return f"{value:{sign}.{digits}f}".replace("-", MINUS) + ("" if total is None else f" of {total}")


def as_latex(table: ReportTable) -> str:
    """Return a `table` environment for package booktabs; two lines per row, ours above the paper's."""

    def escaped(text: str) -> str:
        return latex(text).replace(MINUS, "$-$").replace(DASH, "--")

    caption = f"{table.caption}. Above: ours, with 95 % interval; below: the paper's. {table.setting}".rstrip()
    lines = []
    for row in table.rows:
        ours, paper = (" & ".join(escaped(text(cell)) for cell in row.cells) for text in (our_text, paper_text))
        lines += [rf"{escaped(row.label)} & {ours} \\", rf"\quad paper & {paper} \\"]
    heads, body = " & ".join(("", *map(escaped, table.columns))), "\n".join(lines)
    return rf"""\begin{{table}}
\centering
\caption{{{escaped(caption)}}}
\label{{tab:rvernet-{table.number}}}
\begin{{tabular}}{{l{"r" * len(table.columns)}}}
\toprule
{heads} \\
\midrule
{body}
\bottomrule
\end{{tabular}}
\end{{table}}
"""
