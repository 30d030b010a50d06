"""Crops and overlays of samples."""

import numpy as np
import pytest

from pipeline.reporting.figures.heat_maps import overlay_heat
from pipeline.reporting.figures.scenes import LONGEST, SQUARE, SamplePictures, crop_square, enlarge, make_scene
from tests.judged_run import random_batch
from tests.unit.reporting.study import make_sample


def scene(row: int = 2) -> SamplePictures:
    """Return one sample with a photo of its shape."""
    views = random_batch(6).row(row)
    height, width = views.rects[0, 2:].tolist()
    photo = np.random.default_rng(0).integers(0, 256, (20 * height, 20 * width, 3), np.uint8)
    return make_scene(make_sample(), photo, views)


@pytest.mark.parametrize(
    ("shape", "place", "corner"),
    [((4, 10), (1, 8), (0, 6)), ((4, 10), (1, 0), (0, 0)), ((10, 4), (5, 1), (3, 0)), ((6, 6), (0, 0), (0, 0))],
)
def test_a_crop_is_the_largest_square_and_holds_the_region(
    shape: tuple[int, int], place: tuple[int, int], corner: tuple[int, int]
) -> None:
    """As near to the region's middle as the photo allows."""
    image = np.arange(shape[0] * shape[1] * 3, dtype=np.uint8).reshape(*shape, 3)
    mask = np.zeros(shape, bool)
    mask[place] = True
    side, (top, left) = min(shape), corner
    np.testing.assert_array_equal(crop_square(image, mask), image[top : top + side, left : left + side])


def test_a_photo_without_region_is_cropped_all_the_same() -> None:
    """A mask can vanish when it shrinks."""
    assert crop_square(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), bool)).shape == (4, 4, 3)


def test_a_scene_is_small_and_marked() -> None:
    """Outlined in yellow inside, dimmed outside."""
    made = scene()
    assert max(made.photo.shape) == LONGEST
    marked = made.marked()
    assert marked.shape[0] == marked.shape[1]
    assert (marked == [255, 214, 10]).all(axis=2).any()


def test_heat_is_black_where_there_is_none_and_bright_at_its_maximum() -> None:
    """Each map by its own maximum; a map without heat shows the view in gray."""
    made = scene()
    heat = np.zeros((4, 4), np.float32)
    cold = overlay_heat(made, "extra_roi", heat)
    assert cold.shape == (SQUARE, SQUARE, 3)
    assert (cold[..., 0] == cold[..., 2]).all()
    heat[3, 3] = 1e-6
    warm = overlay_heat(made, "extra_roi", heat)
    assert warm[-1, -1].sum() > 600
    np.testing.assert_array_equal(warm[: SQUARE // 2, : SQUARE // 2], cold[: SQUARE // 2, : SQUARE // 2])
    np.testing.assert_array_equal(warm, overlay_heat(made, "extra_roi", heat * 1024))


def test_cut_outs_are_enlarged_to_one_size() -> None:
    """Whatever the study's image size."""
    assert enlarge(np.zeros((32, 32, 3), np.uint8)).shape == (SQUARE, SQUARE, 3)
