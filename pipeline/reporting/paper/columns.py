"""What the columns of Tables 2 to 12 hold, and where `tables.json` keeps them."""

from typing import NamedTuple

from pipeline.reporting.grid import ALL, NO_SAUCE
from pipeline.reporting.paper.measures import Measure, answered, moved, permuted


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
TARGETS = {"roi": "ROI", "extra_roi": "extra-ROI", "both": "both"}
PAIR = ("ketchup", "chili")
MACRO, AMBIGUOUS, TOP1 = Measure("macro_f1"), Measure("ambiguous_f1"), Measure("top1")


def _f1(prefix: str, head: str, classes: str) -> tuple[Column, ...]:
    return (
        Column(f"F1, whole test set{head}", f"{prefix}f1_whole", None, classes, MACRO),
        Column(f"F1, ambiguous pair{head}", f"{prefix}f1_ketchup_chili", None, classes, AMBIGUOUS),
    )


def _means(names: dict[str, tuple[str, str]]) -> tuple[Column, ...]:
    return tuple(Column(head, name, None, ALL, Measure("change", detail)) for name, (head, detail) in names.items())


def _disturbed(names: dict[str, tuple[str, str]]) -> tuple[Column, ...]:
    """Return accuracy and change of every disturbance."""
    plain = Column("plain", "no_transformation", None, ALL, TOP1)
    pairs = (
        (
            Column(head, name, "top1", ALL, Measure("top1", detail)),
            Column(f"{head}, change", name, "printed_change", ALL, Measure("change", detail)),
        )
        for name, (head, detail) in names.items()
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
            Measure("count", answered(truth, answer)),
        )
        for truth, answer in cells
        for part, side, classes in sides
    )


PERMUTED = {f"{target}_permuted": (f"{head} permuted", permuted(target)) for target, head in TARGETS.items()}
MOVED = {f"dx{dx}_dy{dy}": (f"dx {dx}, dy {dy}", moved(dx, dy)) for dx, dy in OFFSETS}
SINGLE = (
    Column("plain", "no_transformation", None, ALL, TOP1),
    Column("ROI permuted", "roi_permuted", None, ALL, Measure("top1", permuted("roi"))),
    Column("change", "printed_decline", None, ALL, Measure("change", permuted("roi"))),
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
    11: _disturbed(PERMUTED),
    12: _disturbed(MOVED),
}
"""By table of the paper."""
