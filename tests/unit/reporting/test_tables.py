"""Our numbers, computed by hand, and the tables as files, read back."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import Bootstrap, Interval, share_interval
from pipeline.evaluation.metrics import Predictions
from pipeline.evaluation.perturbation import PerturbationKey
from pipeline.reporting.grid import GridRun
from pipeline.reporting.paper.published import Measure, PairCell, ResultKey, read_paper
from pipeline.reporting.paper.setting import Deviations
from pipeline.reporting.results import PerturbedPredictions, RunPredictions
from pipeline.reporting.tables import (
    NO_PAIR,
    NOT_RUN,
    ReportTable,
    as_latex,
    as_markdown,
    cell_text,
    estimate,
    f1_by_run,
    keys_of,
    paper_tables,
    write_tables,
)
from pipeline.runtime.errors import EvaluationError

FEW = Bootstrap(seed=0, resamples=300)
RUN, OTHER = GridRun.parse("vit+vit-all"), GridRun.parse("deit+deit-all")
TARGETS = np.array([0, 0, 1, 1, 2, 2])
PLAIN = np.array([0, 1, 1, 1, 2, 0])
ROI = PerturbationKey("roi")
SHUFFLED = np.array([0, 1, 0, 1, 0, 0])


def run_predictions(
    *, perturbed: Mapping[PerturbationKey, Predictions] | None = None, prefix: str = ""
) -> RunPredictions:
    """Return the predictions for six samples of three photos; class 0 is ketchup, class 1 chili paste."""
    ids = tuple(f"test/{prefix}{row // 2}/{row}" for row in range(6))
    photos = tuple(i.rpartition("/")[0] for i in ids)
    given = {ROI: SHUFFLED} if perturbed is None else perturbed
    found = {key: PerturbedPredictions(predicted, "") for key, predicted in given.items()}
    return RunPredictions(ids, photos, TARGETS, PLAIN, (0, 1), found)


def one(measure: Measure, *runs: GridRun, evaluated: Mapping[GridRun, RunPredictions] | None = None) -> float:
    """Return the value of one key."""
    key = ResultKey(runs or (RUN,), measure)
    return estimate([key], evaluated or {RUN: run_predictions()}, FEW)[key].value


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (Measure("top1"), 100 * 4 / 6),
        (Measure("top1", ROI), 100 * 2 / 6),
        (Measure("change", ROI), -100 * 2 / 6),
        # class 0: 1 correct of 2 and 2 predicted; class 1: 2 of 2 and 3; class 2: 1 of 2 and 1
        (Measure("macro_f1"), (2 / 4 + 4 / 5 + 2 / 3) / 3),
        (Measure("ambiguous_f1"), (2 / 4 + 4 / 5) / 2),
        (Measure("count", cell=PairCell(0, 1)), 1),
        (Measure("count", cell=PairCell(1, 1)), 2),
    ],
)
def test_a_hand_computed_case(measure: Measure, expected: float) -> None:
    """In the paper's units."""
    assert one(measure) == pytest.approx(expected)


def test_an_accuracy_and_a_count_have_intervals_over_photos() -> None:
    """Times 100; times the two samples of the class, which are of one photo."""
    keys = [ResultKey((RUN,), Measure("top1")), ResultKey((RUN,), Measure("count", cell=PairCell(0, 1)))]
    seen = run_predictions()
    found = estimate(keys, {RUN: seen}, FEW)
    share = share_interval(seen.predictions == seen.targets, seen.photo_ids, FEW)
    assert found[keys[0]] == pytest.approx([100 * v for v in share])
    one_of_two = share_interval(np.array([False, True]), seen.photo_ids[:2], FEW)
    assert found[keys[1]] == pytest.approx([2 * v for v in one_of_two])


def test_a_change_is_paired() -> None:
    """A perturbation that changes no prediction has no interval, however uncertain the accuracy."""
    key = ResultKey((RUN,), Measure("change", ROI))
    found = estimate([key], {RUN: run_predictions(perturbed={ROI: PLAIN})}, FEW)[key]
    assert found == (0.0, 0.0, 0.0)


def test_a_group_is_the_mean_of_its_runs() -> None:
    """Minus a third for one, nothing for the other."""
    evaluated = {RUN: run_predictions(), OTHER: run_predictions(perturbed={ROI: PLAIN})}
    assert one(Measure("change", ROI), RUN, OTHER, evaluated=evaluated) == pytest.approx(-100 / 6)


def test_what_was_not_run_has_no_number() -> None:
    """Neither another run, nor a group with it, nor a perturbation that was not tried."""
    keys = [
        ResultKey((OTHER,), Measure("top1")),
        ResultKey((RUN, OTHER), Measure("change", ROI)),
        ResultKey((RUN,), Measure("change", PerturbationKey("both"))),
        ResultKey((RUN,), Measure("top1", PerturbationKey("both"))),
    ]
    assert estimate(keys, {RUN: run_predictions()}, FEW) == {}


def test_runs_on_other_samples_are_not_averaged() -> None:
    """Their photos cannot be drawn together."""
    key = ResultKey((RUN, OTHER), Measure("change", ROI))
    with pytest.raises(EvaluationError, match="different samples"):
        estimate([key], {RUN: run_predictions(), OTHER: run_predictions(prefix="x")}, FEW)


def test_tables_and_f1_by_run_share_one_estimate() -> None:
    """Of every run in both kinds of F1, whether a table of the paper shows it or not."""
    evaluated = {RUN: run_predictions(), OTHER: run_predictions()}
    by_score = f1_by_run(estimate(keys_of(read_paper(), evaluated), evaluated, FEW))
    assert {score: by_run.keys() for score, by_run in by_score.items()} == {
        score: {RUN.name, OTHER.name} for score in ("macro_f1", "ambiguous_f1")
    }


PAPER = read_paper()
EVALUATED = GridRun.parse("mobilenetv2+none-all")
F1 = ResultKey((EVALUATED,), Measure("macro_f1"))
COUNTS = {key: 40 for key in keys_of(PAPER) if key.measure.score == "count" and key.runs == (EVALUATED,)}
OURS = {key: Interval(0.43214, 0.41019, 0.45678) for key in keys_of(PAPER) if key.runs == (EVALUATED,)}
OURS |= dict.fromkeys(COUNTS, Interval(20.0, 14.1, 25.9))


def fill(
    ours: Mapping[ResultKey, Interval] = OURS,
    *,
    samples: int = 40,
    setting: Deviations = Deviations(),  # noqa: B008 - a tuple
    perturbed: Mapping[PerturbationKey, str] = {},
    pair: tuple[int, int] | None = (0, 1),
) -> tuple[ReportTable, ...]:
    """Return the tables of a run on so many samples of each class, under perturbations that deviate like this."""
    targets = np.repeat(np.arange(2), samples)
    ids = tuple(f"test/{row}/1" for row in range(len(targets)))
    deviating = {key: PerturbedPredictions(targets, text) for key, text in perturbed.items()}
    evaluated = {EVALUATED: RunPredictions(ids, ids, targets, targets, pair, deviating)}
    return paper_tables(PAPER, evaluated, ours, {EVALUATED: setting})


TABLES = fill()


def table(number: int) -> ReportTable:
    """Return one table."""
    return next(found for found in TABLES if found.number == number)


def test_a_cell_shows_both_numbers_in_the_papers_rounding() -> None:
    """Value, interval with fewer decimals, paper, difference of the rounded numbers."""
    assert cell_text(table(2).rows[0].cells[0]) == "0.4321 [0.410, 0.457]; 0.3765 (+0.0556)"


def test_a_run_that_was_not_made_says_so() -> None:
    """In every form, and without any number of ours."""
    cell = table(2).rows[1].cells[0]
    assert (cell.ours, cell.difference, cell.status) == (None, None, NOT_RUN)
    assert cell_text(cell) == "not run; 0.3613"
    assert sum(cell.status == NOT_RUN for found in TABLES for cell in found.cells) == sum(
        len(found.cells) for found in TABLES
    ) - len([key for key in keys_of(PAPER) if key.runs == (EVALUATED,)])


def test_data_without_the_pair_are_no_missing_run() -> None:
    """The run was evaluated; its data have no ketchup."""
    without = fill({F1: OURS[F1]}, pair=None)
    assert [cell.status for cell in without[0].rows[0].cells] == ["", NO_PAIR]


def test_counts_of_other_totals_have_no_difference() -> None:
    """20 of 40 is not 2 less than 22 of 38; no other number has a total, nor has one of a run that was not made."""
    counted = {cell.key for found in TABLES for cell in found.cells if cell.our_samples is not None}
    assert counted == COUNTS.keys()
    cell = table(8).rows[0].cells[0]
    assert cell_text(cell) == "20 of 40 [14.1, 25.9]; 22 of 38"
    same = fill(samples=38)
    assert next(found for found in same if found.number == 8).rows[0].cells[0].difference == -2


def test_numbers_under_another_perturbation_than_the_papers_have_no_difference() -> None:
    """The number stays, and every form that gives differences says why there is none."""
    moved = next(key.measure.perturbation for key in OURS if key.measure.perturbation)
    tables = fill(perturbed={moved: "patches are larger"})
    cells = [c for found in tables for c in found.cells if c.ours and c.key.measure.perturbation == moved]
    assert cells
    assert {cell.difference for cell in cells} == {None}
    assert all(cell.ours == OURS[cell.key] for cell in cells)
    (other,) = [found for found in tables if found.number == 10]
    assert other.deviations == ("patches are larger",)
    assert as_markdown(other).endswith("\nNo difference is given where patches are larger.\n")
    assert sum(cell.difference is None for found in tables for cell in found.cells if cell.ours) == len(cells) + sum(
        cell.difference is None for found in TABLES for cell in found.cells if cell.ours
    )


def test_another_setting_than_the_papers_has_no_difference() -> None:
    """Where it is decisive: all numbers stay, and the table says in one line what differs and what follows."""
    varied = fill(setting=Deviations((), ("6 epochs (paper: 30)",)))
    other = fill(setting=Deviations(("96 px (paper: 224)",), ("masks from sam",)))
    for same, without, found in zip(varied, other, TABLES, strict=True):
        ours = [cell for cell in found.cells if cell.ours]
        assert [cell.difference for cell in same.cells] == [cell.difference for cell in found.cells]
        assert {cell.difference for cell in without.cells} == {None}
        assert [cell.ours for cell in without.cells] == [cell.ours for cell in found.cells]
        assert same.setting == ("Not the paper's setting: 6 epochs (paper: 30)." if ours else "")
        said = "Not the paper's setting: 96 px (paper: 224); masks from sam. So no difference to the paper is given."
        assert without.setting == (said if ours else "")
        assert (said in as_markdown(without), "ours minus paper" in as_markdown(without)) == (bool(ours), False)
        assert ("ours minus paper" in as_markdown(same)) == any(cell.difference is not None for cell in found.cells)
        assert ("96 px" in as_latex(without)) == bool(ours)


def test_csv_reads_back_equal(tmp_path: Path) -> None:
    """Every cell with its numbers; what is not there is empty, not zero."""
    write_tables(TABLES, tmp_path)
    for found in TABLES:
        with (tmp_path / f"table-{found.number:02d}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(found.cells)
        for row, cell in zip(rows, found.cells, strict=True):
            assert row["runs"].split() == [run.name for run in cell.key.runs]
            assert (row["score"], row["detail"], row["status"]) == (
                cell.key.measure.score,
                cell.key.measure.detail,
                cell.note,
            )
            assert float(row["paper"]) == cell.paper
            numbers = [row[name] for name in ("ours", "low", "high")]
            assert [float(n) for n in numbers if n] == pytest.approx(list(cell.ours or ()), abs=1e-6)


def test_markdown_reads_back_equal() -> None:
    """One row a row, one cell a cell."""
    for found in TABLES:
        lines = [line.strip("| ").split(" | ") for line in as_markdown(found).splitlines() if line.startswith("|")]
        assert lines[2:] == [[row.label, *map(cell_text, row.cells)] for row in found.rows]


def test_latex_is_a_whole_environment() -> None:
    """As many columns in every line as declared, and no bare special character."""
    for found in TABLES:
        text = as_latex(found)
        body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) == 1 + 2 * len(found.rows)
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(found.columns)}
        assert not re.findall(r"(?<!\\)[%#_]", text)
