"""The questions that the paper's printed numbers are asked, with the answers computed when they are asked."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipeline.reporting.paper import comparisons
from pipeline.reporting.paper.comparisons import Line
from pipeline.reporting.paper.source import Paper


class Check(NamedTuple):
    """One question to the printed numbers."""

    name: str
    """Identifier in results.json."""
    title: str
    question: str
    """What is compared and how."""
    lines: tuple[Line, ...]

    @property
    def agrees(self) -> bool:
        """Tell whether every line does."""
        return all(line.agrees for line in self.lines)

    @property
    def failures(self) -> int:
        """Return the number of lines that do not agree."""
        return sum(not line.agrees for line in self.lines)


class Question(NamedTuple):
    """What to ask."""

    name: str
    title: str
    text: str
    lines: Callable[[Paper], Iterator[Line]]
    """How to answer it."""


def check_paper(paper: Paper) -> tuple[Check, ...]:
    """Hold the paper's numbers against each other."""
    return tuple(Check(q.name, q.title, q.text, tuple(q.lines(paper))) for q in QUESTIONS)


QUESTIONS: tuple[Question, ...] = (
    Question(
        "pair_f1_caps",
        "Table 8's counts against the pair's F1 in Tables 3, 4 and 9",
        (
            "The counts fix the highest mean F1 that ketchup and chili paste can have: the one without a single false "
            "alarm from another food. A printed F1 above it cannot come from those counts."
        ),
        comparisons.caps,
    ),
    Question(
        "proposed_counts",
        "What Table 8 supports for the proposed model",
        "Right answers on the pair, out of all its samples, with Wilson's interval: as if each had a photo of its own.",
        comparisons.proposed_counts,
    ),
    Question(
        "copied_accuracy",
        "ROI only (Table 10) against two branches (Tables 11 and 12), same backbone",
        "Two models that were trained apart hardly ever get the same number of images right.",
        comparisons.copies,
    ),
    Question(
        "gain_by_shift",
        "Gains under a shift (Tables 7 and 12)",
        "Losing part of the input should not help.",
        comparisons.gains,
    ),
    Question(
        "declines",
        "Printed declines against the printed accuracies (Tables 10 to 12)",
        "A decline is the difference of two accuracies of the same row.",
        comparisons.differences,
    ),
    Question(
        "whole_images",
        "Accuracies as whole images (Tables 10 to 12)",
        (
            "Every accuracy must be a whole number of test images; one that matches only after cutting decimals off "
            "was truncated, not rounded."
        ),
        comparisons.truncated,
    ),
    Question(
        "abstract_gain",
        "The abstract's “10 % better” on ambiguous food",
        "Best two-branch F1 of the pair against the best of a single model, as points and as a ratio.",
        comparisons.abstract,
    ),
    Question(
        "sauce_left_out",
        "Supplement A: without sauce, ketchup and chili paste are told apart worse",
        "Right answers (Table 8) and F1 (Table 9) with and without the sauce class; both should fall.",
        comparisons.sauce,
    ),
    Question(
        "different_sets",
        "Whole-set F1 with and without sauce (Table 9)",
        "The two numbers are means over different classes and samples, so their difference is no effect.",
        comparisons.sets,
    ),
    Question(
        "table_4_label",
        "Which model Table 4 and Figure 6 call “DeiT-B/16”",
        "Its numbers against those of both DeiT models in Tables 2 and 3.",
        comparisons.label,
    ),
    Question(
        "grouped_means",
        "Tables 5, 6 and 7 from Tables 11 and 12",
        "The grouped tables should be means of rows of the long ones; computed by the code that groups our runs.",
        comparisons.regrouped,
    ),
    Question(
        "totals", "Sample counts of section 4.1", "FoodSeg103's samples plus the added photos.", comparisons.totals
    ),
    Question(
        "noise",
        "How far chance alone moves an accuracy",
        "Wilson's intervals, as if each sample had a photo of its own; the paper prints none.",
        comparisons.noise,
    ),
)
