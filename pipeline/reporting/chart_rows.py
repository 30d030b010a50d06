"""Which numbers of the summary go into which chart."""

from collections.abc import Iterator

from markupsafe import Markup

from pipeline.reporting.grid import KINDS, GridRun
from pipeline.reporting.run_charts import Change, Row, Share, change_chart, share_chart
from pipeline.reporting.summary import Interval, RunSummary, Summary

TARGET_NAME = {"roi": "ROI", "extra_roi": "extra-ROI", "both": "both"}
COIN = (0.5, "a coin toss")


def by_kind(summary: Summary) -> tuple[RunSummary, ...]:
    """Return the runs grouped by kind, each group in the paper's order, a variant outside the paper last."""
    return tuple(sorted(summary.runs.values(), key=lambda result: KINDS.index(result.run.kind)))


def row_of(run: GridRun, variant: str | None) -> Row:
    """Return the label of a run; a star marks the variant."""
    return Row(f"★ {run.label}" if run.name == variant else run.label, run.kind)


def result_charts(summary: Summary) -> dict[str, Markup]:
    """Return the bar charts of all runs by name."""
    majority = max(result.majority_rate for result in summary.runs.values())
    return {
        "top1": _shares(summary, "top1", "top-1 accuracy, %", (majority, "always the most frequent")),
        "macro_f1": _shares(summary, "macro_f1", "macro F1, %", None),
        "ambiguous_f1": _shares(summary, "ambiguous_f1", "F1 of the ambiguous pair, %", COIN),
        "ece": _shares(summary, "ece", "expected calibration error, %", None),
        "ambiguous_top1": _shares(summary, "ambiguous_top1", "ambiguous pair, right answers, %", COIN),
    }


def _shares(summary: Summary, column: str, axis: str, reference: tuple[float, str] | None) -> Markup:
    shares = [
        Share(row_of(r.run, summary.variant), getattr(r, column), interval_of(r, column)) for r in by_kind(summary)
    ]
    return share_chart(shares, name=column, axis=axis, reference=reference)


def interval_of(result: RunSummary, column: str) -> Interval | None:
    """Return the stored interval of a column; None where there is none."""
    interval: Interval | None = getattr(result, f"{column}_interval", None)
    return interval


def perturbation_charts(summary: Summary) -> dict[str, Markup]:
    """Return the charts of what permutation and translocation cost, by name; none for what was not run."""
    axis = "change of top-1, percentage points"
    changes = {"permutation": permutation_changes(summary), "translocation": translocation_changes(summary)}
    rows = {name: list(found) for name, found in changes.items()}
    return {name: change_chart(found, name=name, axis=axis) for name, found in rows.items() if found}


def permutation_changes(summary: Summary) -> Iterator[Change]:
    """Yield what permutation costs each run, by permuted view, with the spread over seeds."""
    for result in by_kind(summary):
        row = row_of(result.run, summary.variant)
        for entry in result.permutations:
            spread = (entry.lowest_top1 - entry.top1, entry.highest_top1 - entry.top1)
            low, high = (entry.change_top1 + difference for difference in spread)
            yield Change(row, TARGET_NAME[entry.target], entry.change_top1, low, high)


def translocation_changes(summary: Summary) -> Iterator[Change]:
    """Yield what each translocation costs each run."""
    for result in by_kind(summary):
        row = row_of(result.run, summary.variant)
        for entry in result.translocations:
            yield Change(row, f"({entry.dx}, {entry.dy})", *[entry.change_top1] * 3)
