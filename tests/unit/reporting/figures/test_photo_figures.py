"""Rows, columns and tiles of the figures that show photos."""

import numpy as np
import pytest

from pipeline.datasets.sample_batch import ViewName
from pipeline.evaluation.heat_maps import HeatMap
from pipeline.evaluation.perturbation import Permutation, Translocation, perturb_canvases
from pipeline.params.stages import PerturbParams
from pipeline.reporting.figures.photo_figures import COLUMNS, choose_columns, perturbed_views, rows_of
from tests.small_run import PAD, random_batch


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


PARAMS = PerturbParams(
    patch_size=8,
    permutation_seeds=2,
    offsets=((-30, 63), (0, 0)),
    offset_size=224,
    origin="corner",
    dy_sign=-1,
    batch_size=4,
    threads=1,
    pad=PAD,
    seed=0,
)


def test_tiles_are_the_stages_own_pictures() -> None:
    """The first permutation of the study's seed on each view, and every offset on the extra-ROI."""
    one = random_batch(6).row(3)
    tiles = perturbed_views(one, PARAMS)
    shuffled = Permutation(8, 0, 0)
    expected = [
        one.roi,
        perturb_canvases(shuffled, one.roi, one, branch="roi", background=PAD),
        one.extra_roi,
        perturb_canvases(shuffled, one.extra_roi, one, branch="extra_roi", background=PAD),
        perturb_canvases(Translocation(-4, -9, "corner"), one.extra_roi, one, branch="extra_roi", background=PAD),
        perturb_canvases(Translocation(0, 0, "corner"), one.extra_roi, one, branch="extra_roi", background=PAD),
    ]
    assert len(tiles) == len(expected)
    for tile, images in zip(tiles, expected, strict=True):
        np.testing.assert_array_equal(tile.image, images[0])


def test_kept_shares_are_of_the_photos_pixels() -> None:
    """By hand: 4 columns and 9 rows of the rectangle fall off; nothing does where nothing moves."""
    one = random_batch(6).row(3)
    height, width = one.rects[0, 2:].tolist()
    tiles = perturbed_views(one, PARAMS)
    assert tiles[0].kept is None
    assert tiles[4].kept == pytest.approx((height - 9) * (width - 4) / (height * width))
    assert tiles[5].kept == 1.0
