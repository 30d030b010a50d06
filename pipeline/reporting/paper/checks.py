"""Checks of the paper's printed numbers against each other, computed from `tables.json`."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipeline.evaluation.bootstrap import wilson_interval
from pipeline.params.run_name import ABSENT
from pipeline.reporting.grid import ALL, NO_SAUCE, PROPOSED, GridRun
from pipeline.reporting.paper import published
from pipeline.reporting.paper.published import Measure, PairCell, Paper, ResultKey, TableCell

HALF_F1, HALF_POINT = 0.00005, 0.0005  # what rounding to the printed decimals can hide
MEANS_TOLERANCE = 0.001
CLAIMED_GAIN = 0.10  # the abstract: F1 `10% better than other individual models when classifying ambiguous food images`


class CheckLine(NamedTuple):
    """One comparison."""

    what: str
    printed: str
    computed: str
    agrees: bool


class PaperCheck(NamedTuple):
    """One check of the printed numbers; `name` is its identifier in results.json."""

    name: str
    title: str
    question: str
    lines: tuple[CheckLine, ...]

    @property
    def agrees(self) -> bool:
        """Whether every line agrees."""
        return not self.failures

    @property
    def failures(self) -> int:
        """Number of lines that do not agree."""
        return sum(not line.agrees for line in self.lines)


_CHECKS: list[Callable[[Paper], PaperCheck]] = []


def check_paper(paper: Paper) -> tuple[PaperCheck, ...]:
    """Run all checks, in the order of their definition."""
    return tuple(check(paper) for check in _CHECKS)


def _check(title: str, question: str) -> Callable[[Callable[[Paper], Iterator[CheckLine]]], None]:
    """Register a generator of lines as a check, which is called as the function is."""

    def register(lines: Callable[[Paper], Iterator[CheckLine]]) -> None:
        name = lines.__name__.removeprefix("_")
        _CHECKS.append(lambda paper: PaperCheck(name, title, question, tuple(lines(paper))))

    return register


def highest_pair_f1(right: tuple[int, int], swapped: tuple[int, int], samples: tuple[int, int]) -> float:
    """Return the highest F1 of the pair that `counts_of` allows: no sample of another class is predicted as it."""
    predicted = (right[0] + swapped[1], right[1] + swapped[0])
    return sum(2 * hits / (n + a) for hits, n, a in zip(right, samples, predicted, strict=True)) / 2


def counts_of(paper: Paper, run: GridRun) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return correct samples, those predicted as the other, and all samples of both classes, as Table 8 prints them."""
    cells = {c.key.measure.cell: c for c in paper.tables[8].cells if c.key.runs == (run,)}
    (kk, kc), (ck, cc) = ([int(cells[PairCell(t, p)].paper) for p in (0, 1)] for t in (0, 1))
    samples = [cells[PairCell(t, t)].paper_samples or 0 for t in (0, 1)]
    return (kk, cc), (kc, ck), (samples[0], samples[1])


def _runs_of(paper: Paper, table: int, classes: str | None = None) -> Iterator[GridRun]:
    runs = dict.fromkeys(cell.key.runs[0] for cell in paper.tables[table].cells)
    return (run for run in runs if classes in {None, run.classes})


def _cells(paper: Paper, numbers: tuple[int, ...], score: str) -> Iterator[TableCell]:
    return (cell for number in numbers for cell in paper.tables[number].cells if cell.key.measure.score == score)


def run_label(run: GridRun) -> str:
    """Return the label of a run that also tells class sets apart."""
    return run.label if run.classes == ALL else f"{run.label}, without sauce"


@_check(
    "Table 8's counts against the pair's F1 in Tables 3, 4 and 9",
    "The counts fix the highest mean F1 that ketchup and chili paste can have: the one without a single false "
    "alarm from another food. A printed F1 above it cannot come from those counts.",
)
def _pair_f1_caps(paper: Paper) -> Iterator[CheckLine]:
    printed = paper.values()
    for run in _runs_of(paper, 8):
        cap, value = highest_pair_f1(*counts_of(paper, run)), printed[ResultKey((run,), published.AMBIGUOUS)]
        yield CheckLine(run_label(run), f"F1 {value:.4f}", f"at most {cap:.4f}", value <= cap + HALF_F1)


@_check(
    "What Table 8 supports for the proposed model",
    "Right answers on the pair, out of all its samples, with Wilson's interval: as if each had a photo of its own.",
)
def _proposed_counts(paper: Paper) -> Iterator[CheckLine]:
    right, _, samples = counts_of(paper, PROPOSED)
    share, low, high = (f"{100 * value:.1f}" for value in wilson_interval(sum(right), sum(samples)))
    value = paper.values()[ResultKey((PROPOSED,), published.AMBIGUOUS)]
    text = f"{sum(right)} of {sum(samples)} right = {share} %, 95 % interval {low} to {high} %"
    yield CheckLine(run_label(PROPOSED), f"F1 {value:.4f}", text, value <= highest_pair_f1(*counts_of(paper, PROPOSED)))


@_check(
    "ROI only (Table 10) against two branches (Tables 11 and 12), same backbone",
    "Two models that were trained apart hardly ever get the same number of images right.",
)
def _copied_accuracy(paper: Paper) -> Iterator[CheckLine]:
    printed, total = paper.values(), paper.dataset["test"]
    for double in (run for run in _runs_of(paper, 11) if run.roi == run.extra_roi):
        single = double._replace(extra_roi=ABSENT)
        one, two = (printed[ResultKey((run,), published.TOP1)] for run in (single, double))
        first, second = (round(value * total / 100) for value in (one, two))
        what, text = f"{single.label} and {double.label}", f"{first} and {second} of {total} images"
        yield CheckLine(what, f"{one:.3f} and {two:.3f} %", text, first != second)


@_check("Gains under a shift (Tables 7 and 12)", "Losing part of the input should not help.")
def _gain_by_shift(paper: Paper) -> Iterator[CheckLine]:
    for cell in (cell for cell in _cells(paper, (12,), "change") if cell.paper > 0):
        what = f"{run_label(cell.key.runs[0])}, {cell.key.measure.detail}"
        text = f"{cell.paper * paper.dataset['test'] / 100:+.0f} images right by moving the input"
        yield CheckLine(what, f"{cell.paper:+.3f}", text, agrees=False)


@_check(
    "Printed declines against the printed accuracies (Tables 10 to 12)",
    "A decline is the difference of two accuracies of the same row.",
)
def _declines(paper: Paper) -> Iterator[CheckLine]:
    for number in (10, 11, 12):
        values = {c.key: c.paper for c in paper.tables[number].cells}
        for (runs, measure), value, *_ in _cells(paper, (number,), "change"):
            perturbed, plain = Measure("top1", measure.perturbation), published.TOP1
            change = values[ResultKey(runs, perturbed)] - values[ResultKey(runs, plain)]
            what = f"Table {number}, {run_label(runs[0])}, {measure.detail}"
            yield CheckLine(what, f"{value:+.3f}", f"{change:+.3f}", abs(change - value) < HALF_POINT)


@_check(
    "Accuracies as whole images (Tables 10 to 12)",
    "Every accuracy must be a whole number of test images; one that matches only after cutting decimals off "
    "was truncated, not rounded.",
)
def _whole_images(paper: Paper) -> Iterator[CheckLine]:
    total = paper.dataset["test"]
    for key, value in {c.key: c.paper for c in _cells(paper, (10, 11, 12), "top1")}.items():
        images = round(value * total / 100)
        exact, what = 100 * images / total, f"{run_label(key.runs[0])}, {key.measure.detail or 'plain'}"
        text = f"{images} of {total} = {exact:.4f} %"
        yield CheckLine(what, f"{value:.3f} %", text, f"{exact:.3f}" == f"{value:.3f}")


@_check(
    "The abstract's “10 % better” on ambiguous food",
    "Best two-branch F1 of the pair against the best of a single model, as points and as a ratio.",
)
def _abstract_gain(paper: Paper) -> Iterator[CheckLine]:
    scores = {key.runs[0]: value for key, value in paper.values().items() if key.measure == published.AMBIGUOUS}
    for classes, which in ((ALL, "with sauce"), (NO_SAUCE, "without sauce")):
        of_set = {run: value for run, value in scores.items() if run.classes == classes}
        single = max(value for run, value in of_set.items() if run.extra_roi == ABSENT)
        double = max(value for run, value in of_set.items() if ABSENT not in run[:2])
        gain, ratio = double - single, double / single - 1
        agrees = CLAIMED_GAIN in {round(gain, 2), round(ratio, 2)}
        text = f"{double:.4f} against {single:.4f}: {100 * gain:+.1f} points, {100 * ratio:+.1f} %"
        what = f"best RveRNet against best ROI-only model, {which}"
        yield CheckLine(what, f"{100 * CLAIMED_GAIN:.0f} %", text, agrees)


@_check(
    "Supplement A: without sauce, ketchup and chili paste are told apart worse",
    "Right answers (Table 8) and F1 (Table 9) with and without the sauce class; both should fall.",
)
def _sauce_left_out(paper: Paper) -> Iterator[CheckLine]:
    printed = paper.values()
    for run in _runs_of(paper, 8, ALL):
        both = (run, run._replace(classes=NO_SAUCE))
        right = [sum(counts_of(paper, one)[0]) for one in both]
        f1 = [printed[ResultKey((one,), published.AMBIGUOUS)] for one in both]
        text = f"right answers {right[0]} to {right[1]}, F1 {f1[0]:.4f} to {f1[1]:.4f} ({f1[1] - f1[0]:+.4f})"
        yield CheckLine(run_label(run), "ability decreased", text, right[1] < right[0] and f1[1] < f1[0])


@_check(
    "Whole-set F1 with and without sauce (Table 9)",
    "The two numbers are means over different classes and samples, so their difference is no effect.",
)
def _different_sets(paper: Paper) -> Iterator[CheckLine]:
    printed, classes = paper.values(), paper.dataset["classes"]
    for run in _runs_of(paper, 8, ALL):
        f1 = [printed[ResultKey((one,), published.MACRO)] for one in (run, run._replace(classes=NO_SAUCE))]
        text = f"mean over {classes} classes against mean over {classes - 1}, without the samples of sauce"
        yield CheckLine(run_label(run), f"F1 {f1[0]:.4f} and {f1[1]:.4f}", text, agrees=False)


@_check(
    "Which model Table 4 and Figure 6 call “DeiT-B/16”",
    "Its numbers against those of both DeiT models in Tables 2 and 3.",
)
def _table_4_label(paper: Paper) -> Iterator[CheckLine]:
    first = {c.key: c.paper for number in (3, 2) for c in paper.tables[number].cells}
    row = {c.key: c.paper for c in paper.tables[4].cells}
    for extra_roi, other_extra_roi in ((ABSENT, ABSENT), ("deit", "deit_distilled")):
        plain, distilled = GridRun("deit", extra_roi, ALL), GridRun("deit_distilled", other_extra_roi, ALL)
        key = ResultKey((distilled,), published.MACRO)
        printed, deit = row[key], first[ResultKey((plain,), published.MACRO)]
        text = f"DeiT {deit:.4f}, DeiT-dist {first[key]:.4f} in Tables 2 and 3"
        yield CheckLine(run_label(plain), f"F1 {printed:.4f}", text, printed == deit)


@_check(
    "Tables 5, 6 and 7 from Tables 11 and 12",
    "The grouped tables should be means of rows of the long ones; computed by the code that groups our runs.",
)
def _grouped_means(paper: Paper) -> Iterator[CheckLine]:
    means = published.regroup(paper, paper.values())
    for number in published.GROUPED:
        cells = paper.tables[number].cells
        gaps = [abs(mean - c.paper) for c in cells if (mean := means[c.key]) is not None]
        text = f"{len(gaps)} means, largest gap {max(gaps):.4f}"
        agrees = len(gaps) == len(cells) and all(gap < MEANS_TOLERANCE for gap in gaps)
        yield CheckLine(f"Table {number}", f"{len(cells)} cells", text, agrees)


@_check("Sample counts of section 4.1", "FoodSeg103's samples plus the added photos.")
def _totals(paper: Paper) -> Iterator[CheckLine]:
    data = paper.dataset
    for split in ("train", "test"):
        parts = [data[f"foodseg103_{split}"], data["ketchup"][split], data["chili_paste"][split]]
        text = " + ".join(f"{part:,}" for part in parts) + f" = {sum(parts):,}"
        yield CheckLine(f"{split} samples", f"{data[split]:,}", text, sum(parts) == data[split])


@_check(
    "How far chance alone moves an accuracy",
    "Wilson's intervals, as if each sample had a photo of its own; the paper prints none.",
)
def _noise(paper: Paper) -> Iterator[CheckLine]:
    pair = sum(paper.dataset[name]["test"] for name in ("ketchup", "chili_paste"))
    whole = (paper.dataset["test"], 0.6, "whole test set")
    for total, share, which in (whole, (pair, 0.8, " and ".join(published.PAIR))):
        _, low, high = wilson_interval(round(share * total), total)
        what = f"95 % interval of {100 * share:.0f} % right on the {which}, n = {total:,}"
        text = f"{100 * (low - share):+.1f} to {100 * (high - share):+.1f} points"
        yield CheckLine(what, "none", text, agrees=True)
