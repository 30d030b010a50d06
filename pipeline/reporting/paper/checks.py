"""Checks of the paper's printed numbers against each other, computed from `tables.json`."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from pipeline.evaluation.bootstrap import wilson_interval
from pipeline.params.run_name import ABSENT
from pipeline.reporting.grid import ALL, NO_SAUCE, PROPOSED, GridRun
from pipeline.reporting.paper.published import (
    AMBIGUOUS,
    MACRO,
    PAIR,
    TOP1,
    Measure,
    PairCell,
    Paper,
    PaperCell,
    ResultKey,
    regroup,
)

HALF_F1, HALF_POINT = 0.00005, 0.0005
"""What rounding to the printed decimals can hide."""
MEANS_TOLERANCE = 0.001
CLAIMED_GAIN = 0.10
"""The abstract: F1 `10% better than other individual models when classifying ambiguous food images`."""


class CheckLine(NamedTuple):
    """One comparison."""

    what: str
    printed: str
    computed: str
    agrees: bool


class PaperCheck(NamedTuple):
    """One check of the printed numbers."""

    name: str
    """Identifier in results.json."""
    title: str
    question: str
    lines: tuple[CheckLine, ...]

    @property
    def agrees(self) -> bool:
        """Whether every line agrees."""
        return all(line.agrees for line in self.lines)

    @property
    def failures(self) -> int:
        """Number of lines that do not agree."""
        return sum(not line.agrees for line in self.lines)


Question: TypeAlias = Callable[[Paper], Iterator[CheckLine]]

_QUESTIONS: list[tuple[str, str, str, Question]] = []
"""Name, title and text of every check, with the function that compares; filled by `_check`."""


def check_paper(paper: Paper) -> tuple[PaperCheck, ...]:
    """Run all checks, in the order of their definition."""
    return tuple(PaperCheck(name, title, text, tuple(lines(paper))) for name, title, text, lines in _QUESTIONS)


def _check(name: str, title: str, question: str) -> Callable[[Question], Question]:
    """Register a generator of lines as a check; name, title and question are those of `PaperCheck`."""

    def register(lines: Question) -> Question:
        _QUESTIONS.append((name, title, question, lines))
        return lines

    return register


def highest_pair_f1(right: tuple[int, int], swapped: tuple[int, int], samples: tuple[int, int]) -> float:
    """Return the highest mean F1 of the ambiguous pair that counts of it allow.

    It is reached when no sample of another class is predicted as one of the pair.

    Args:
        right: Correctly predicted samples of each class.
        swapped: Samples of each class predicted as the other.
        samples: Samples of each class.
    """
    predicted = (right[0] + swapped[1], right[1] + swapped[0])
    return sum(2 * hits / (n + a) for hits, n, a in zip(right, samples, predicted, strict=True)) / 2


def counts_of(paper: Paper, run: GridRun) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return correct samples, swapped samples and all samples of the pair, as Table 8 prints them."""
    cells = {c.key: c for c in paper.tables[8].cells}
    by_cell = {(t, p): cells[ResultKey((run,), Measure("count", cell=PairCell(t, p)))] for t in (0, 1) for p in (0, 1)}
    count = {place: int(cell.value) for place, cell in by_cell.items()}
    samples = tuple(by_cell[t, t].samples or 0 for t in (0, 1))
    return (count[0, 0], count[1, 1]), (count[0, 1], count[1, 0]), (samples[0], samples[1])


def _runs_of_table_8(paper: Paper) -> tuple[GridRun, ...]:
    return tuple(dict.fromkeys(c.key.runs[0] for c in paper.tables[8].cells))


def _cells(paper: Paper, numbers: tuple[int, ...], score: str) -> Iterator[PaperCell]:
    return (cell for number in numbers for cell in paper.tables[number].cells if cell.key.measure.score == score)


def run_label(run: GridRun) -> str:
    """Return the label of a run that also tells class sets apart."""
    return run.label if run.classes == ALL else f"{run.label}, without sauce"


@_check(
    "pair_f1_caps",
    "Table 8's counts against the pair's F1 in Tables 3, 4 and 9",
    "The counts fix the highest mean F1 that ketchup and chili paste can have: the one without a single false "
    "alarm from another food. A printed F1 above it cannot come from those counts.",
)
def _caps(paper: Paper) -> Iterator[CheckLine]:
    printed = paper.values()
    for run in _runs_of_table_8(paper):
        cap, value = highest_pair_f1(*counts_of(paper, run)), printed[ResultKey((run,), AMBIGUOUS)]
        yield CheckLine(run_label(run), f"F1 {value:.4f}", f"at most {cap:.4f}", value <= cap + HALF_F1)


@_check(
    "proposed_counts",
    "What Table 8 supports for the proposed model",
    "Right answers on the pair, out of all its samples, with Wilson's interval: as if each had a photo of its own.",
)
def _proposed_counts(paper: Paper) -> Iterator[CheckLine]:
    right, _, samples = counts_of(paper, PROPOSED)
    share, low, high = (f"{100 * value:.1f}" for value in wilson_interval(sum(right), sum(samples)))
    value = paper.values()[ResultKey((PROPOSED,), AMBIGUOUS)]
    text = f"{sum(right)} of {sum(samples)} right = {share} %, 95 % interval {low} to {high} %"
    yield CheckLine(run_label(PROPOSED), f"F1 {value:.4f}", text, value <= highest_pair_f1(*counts_of(paper, PROPOSED)))


@_check(
    "copied_accuracy",
    "ROI only (Table 10) against two branches (Tables 11 and 12), same backbone",
    "Two models that were trained apart hardly ever get the same number of images right.",
)
def _copies(paper: Paper) -> Iterator[CheckLine]:
    printed, total = paper.values(), paper.dataset["test"]
    for double in dict.fromkeys(c.key.runs[0] for c in paper.tables[11].cells):
        single = GridRun(double.roi, ABSENT, ALL)
        if double.roi == double.extra_roi:
            one, two = (printed[ResultKey((run,), TOP1)] for run in (single, double))
            images = [round(value * total / 100) for value in (one, two)]
            text = f"{images[0]} and {images[1]} of {total} images"
            yield CheckLine(
                f"{single.label} and {double.label}", f"{one:.3f} and {two:.3f} %", text, images[0] != images[1]
            )


@_check(
    "gain_by_shift",
    "Gains under a shift (Tables 7 and 12)",
    "Losing part of the input should not help.",
)
def _gains(paper: Paper) -> Iterator[CheckLine]:
    for cell in _cells(paper, (12,), "change"):
        if cell.value > 0:
            text = f"{cell.value * paper.dataset['test'] / 100:+.0f} images right by moving the input"
            yield CheckLine(
                f"{run_label(cell.key.runs[0])}, {cell.key.measure.detail}", f"{cell.value:+.3f}", text, agrees=False
            )


@_check(
    "declines",
    "Printed declines against the printed accuracies (Tables 10 to 12)",
    "A decline is the difference of two accuracies of the same row.",
)
def _differences(paper: Paper) -> Iterator[CheckLine]:
    for number in (10, 11, 12):
        values = {c.key: c.value for c in paper.tables[number].cells}
        for cell in _cells(paper, (number,), "change"):
            runs, measure = cell.key
            change = values[ResultKey(runs, Measure("top1", measure.perturbation))] - values[ResultKey(runs, TOP1)]
            what = f"Table {number}, {run_label(runs[0])}, {measure.detail}"
            yield CheckLine(what, f"{cell.value:+.3f}", f"{change:+.3f}", abs(change - cell.value) < HALF_POINT)


@_check(
    "whole_images",
    "Accuracies as whole images (Tables 10 to 12)",
    "Every accuracy must be a whole number of test images; one that matches only after cutting decimals off "
    "was truncated, not rounded.",
)
def _truncated(paper: Paper) -> Iterator[CheckLine]:
    total = paper.dataset["test"]
    for key, value in {c.key: c.value for c in _cells(paper, (10, 11, 12), "top1")}.items():
        images = round(value * total / 100)
        exact = 100 * images / total
        yield CheckLine(
            f"{run_label(key.runs[0])}, {key.measure.detail or 'plain'}",
            f"{value:.3f} %",
            f"{images} of {total} = {exact:.4f} %",
            f"{exact:.3f}" == f"{value:.3f}",
        )


@_check(
    "abstract_gain",
    "The abstract's “10 % better” on ambiguous food",
    "Best two-branch F1 of the pair against the best of a single model, as points and as a ratio.",
)
def _abstract(paper: Paper) -> Iterator[CheckLine]:
    printed = paper.values()
    for classes, what in ((ALL, "with sauce"), (NO_SAUCE, "without sauce")):
        scores = {key.runs[0]: value for key, value in printed.items() if key.measure == AMBIGUOUS}
        of_set = {run: value for run, value in scores.items() if run.classes == classes}
        single = max(value for run, value in of_set.items() if run.kind == "ROI only" or run.extra_roi == ABSENT)
        double = max(value for run, value in of_set.items() if ABSENT not in run[:2])
        gain, ratio = double - single, double / single - 1
        agrees = CLAIMED_GAIN in {round(gain, 2), round(ratio, 2)}
        text = f"{double:.4f} against {single:.4f}: {100 * gain:+.1f} points, {100 * ratio:+.1f} %"
        yield CheckLine(
            f"best RveRNet against best ROI-only model, {what}", f"{100 * CLAIMED_GAIN:.0f} %", text, agrees
        )


@_check(
    "sauce_left_out",
    "Supplement A: without sauce, ketchup and chili paste are told apart worse",
    "Right answers (Table 8) and F1 (Table 9) with and without the sauce class; both should fall.",
)
def _sauce(paper: Paper) -> Iterator[CheckLine]:
    printed = paper.values()
    for run in (r for r in _runs_of_table_8(paper) if r.classes == ALL):
        other = run._replace(classes=NO_SAUCE)
        right = [sum(counts_of(paper, r)[0]) for r in (run, other)]
        f1 = [printed[ResultKey((r,), AMBIGUOUS)] for r in (run, other)]
        text = f"right answers {right[0]} to {right[1]}, F1 {f1[0]:.4f} to {f1[1]:.4f} ({f1[1] - f1[0]:+.4f})"
        yield CheckLine(run_label(run), "ability decreased", text, right[1] < right[0] and f1[1] < f1[0])


@_check(
    "different_sets",
    "Whole-set F1 with and without sauce (Table 9)",
    "The two numbers are means over different classes and samples, so their difference is no effect.",
)
def _sets(paper: Paper) -> Iterator[CheckLine]:
    printed, classes = paper.values(), paper.dataset["classes"]
    for run in (r for r in _runs_of_table_8(paper) if r.classes == ALL):
        f1 = [printed[ResultKey((r,), MACRO)] for r in (run, run._replace(classes=NO_SAUCE))]
        text = f"mean over {classes} classes against mean over {classes - 1}, without the samples of sauce"
        yield CheckLine(run_label(run), f"F1 {f1[0]:.4f} and {f1[1]:.4f}", text, agrees=False)


@_check(
    "table_4_label",
    "Which model Table 4 and Figure 6 call “DeiT-B/16”",
    "Its numbers against those of both DeiT models in Tables 2 and 3.",
)
def _label(paper: Paper) -> Iterator[CheckLine]:
    first = {c.key: c.value for number in (3, 2) for c in paper.tables[number].cells}
    for plain in (GridRun("deit", ABSENT, ALL), GridRun("deit", "deit", ALL)):
        distilled = plain._replace(
            roi="deit_distilled", extra_roi=ABSENT if plain.extra_roi == ABSENT else "deit_distilled"
        )
        key, row = ResultKey((distilled,), MACRO), {c.key: c.value for c in paper.tables[4].cells}
        printed, deit, other = row[key], first[ResultKey((plain,), MACRO)], first[key]
        text = f"DeiT {deit:.4f}, DeiT-dist {other:.4f} in Tables 2 and 3"
        yield CheckLine(run_label(plain), f"F1 {printed:.4f}", text, printed == deit)


@_check(
    "grouped_means",
    "Tables 5, 6 and 7 from Tables 11 and 12",
    "The grouped tables should be means of rows of the long ones; computed by the code that groups our runs.",
)
def _regrouped(paper: Paper) -> Iterator[CheckLine]:
    means = regroup(paper, paper.values())
    for number in (5, 6, 7):
        cells = paper.tables[number].cells
        gaps = [abs(mean - c.value) for c in cells if (mean := means[c.key]) is not None]
        text = f"{len(gaps)} means, largest gap {max(gaps):.4f}"
        agrees = len(gaps) == len(cells) and all(gap < MEANS_TOLERANCE for gap in gaps)
        yield CheckLine(f"Table {number}", f"{len(cells)} cells", text, agrees)


@_check(
    "totals",
    "Sample counts of section 4.1",
    "FoodSeg103's samples plus the added photos.",
)
def _totals(paper: Paper) -> Iterator[CheckLine]:
    for split in ("train", "test"):
        parts = [
            paper.dataset[f"foodseg103_{split}"],
            paper.dataset["ketchup"][split],
            paper.dataset["chili_paste"][split],
        ]
        text = " + ".join(f"{part:,}" for part in parts) + f" = {sum(parts):,}"
        yield CheckLine(f"{split} samples", f"{paper.dataset[split]:,}", text, sum(parts) == paper.dataset[split])


@_check(
    "noise",
    "How far chance alone moves an accuracy",
    "Wilson's intervals, as if each sample had a photo of its own; the paper prints none.",
)
def _noise(paper: Paper) -> Iterator[CheckLine]:
    samples = (paper.dataset["test"], sum(paper.dataset[f"{name}"]["test"] for name in ("ketchup", "chili_paste")))
    for total, share, what in ((samples[0], 0.6, "whole test set"), (samples[1], 0.8, " and ".join(PAIR))):
        _, low, high = wilson_interval(round(share * total), total)
        text = f"{100 * (low - share):+.1f} to {100 * (high - share):+.1f} points"
        yield CheckLine(
            f"95 % interval of {100 * share:.0f} % right on the {what}, n = {total:,}", "none", text, agrees=True
        )
