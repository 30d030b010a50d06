"""Which heat maps stand in which row and column."""

import numpy as np

from pipeline.datasets.sample_batch import ViewName
from pipeline.evaluation.heat_maps import HeatMap
from pipeline.reporting.figures.heat_maps import COLUMNS, choose_columns, rows_of


def heat_map(sample_id: str, branch: ViewName, truth: str) -> HeatMap:
    """Return a map of nothing in particular."""
    return HeatMap(sample_id, branch, truth, "rice", 0.5, "rice", 0.5, 0.5, np.ones((1, 1), np.float32))


def maps(ids: dict[str, str], *branches: ViewName) -> list[HeatMap]:
    """Return a map a sample and branch."""
    return [heat_map(sample_id, branch, truth) for sample_id, truth in ids.items() for branch in branches]


IDS = {f"test/{n}/1": ("ketchup", "chili paste", "rice")[n % 3] for n in range(18)}


def test_a_run_has_a_row_a_branch() -> None:
    """Alone one, paired two."""
    rows = rows_of([("alone", maps(IDS, "roi")), ("paired", maps(IDS, "roi", "extra_roi"))])
    assert [(row.label, row.branch) for row in rows] == [("alone", "roi"), ("paired", "roi"), ("paired", "extra_roi")]
    assert all(row.maps.keys() == IDS.keys() for row in rows)


def test_columns_are_the_pairs_samples_evenly() -> None:
    """Three of each fill six columns."""
    chosen = choose_columns(rows_of([("alone", maps(IDS, "roi"))]), ("ketchup", "chili paste"))
    assert [IDS[i] for i in chosen] == ["ketchup"] * 3 + ["chili paste"] * 3


def test_columns_are_samples_that_every_row_has() -> None:
    """A run without a class set's sample does not leave a hole."""
    few = {i: truth for i, truth in IDS.items() if truth != "ketchup"}
    rows = rows_of([("alone", maps(IDS, "roi")), ("other", maps(few, "roi"))])
    chosen = choose_columns(rows, ("ketchup", "chili paste"))
    assert len(chosen) == COLUMNS
    assert set(chosen) <= few.keys()


def test_without_the_pair_the_first_samples_are_shown() -> None:
    """In their order."""
    assert choose_columns(rows_of([("alone", maps(IDS, "roi"))]), ()) == tuple(IDS)[:COLUMNS]
