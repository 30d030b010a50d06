"""What Figure 7 shows is what stage `perturb` shows the models."""

import numpy as np
import pytest

from pipeline.evaluation.perturbation import Permutation, Translocation, perturb_canvases
from pipeline.params.stages import PerturbParams
from pipeline.reporting.figures.perturbed_views import perturbed_views, photo_levels
from tests.judged_run import PAD, random_batch

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


def test_levels_tell_region_photo_and_padding_apart() -> None:
    """2, 1 and 0."""
    batch = random_batch(6)
    levels = photo_levels(batch)[..., 0]
    np.testing.assert_array_equal(levels == 2, batch.masks)
    assert (levels > 0).sum(axis=(1, 2)).tolist() == (batch.rects[:, 2] * batch.rects[:, 3]).tolist()
