"""Laws of regions, and of the agreement of two masks."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.imaging.components import (
    LabelledRegion,
    boundary_iou,
    compare_masks,
    iou,
    region_of,
    regions_by_value,
    rim,
)
from tests.strategies import image_and_mask


def random_labels(seed: int) -> np.ndarray:
    """Return a label map of five ids in blotches."""
    coarse = np.random.default_rng(seed).integers(0, 6, (5, 7), dtype=np.uint8)
    return coarse.repeat(3, axis=0).repeat(2, axis=1)


def flood_count(mask: np.ndarray) -> int:
    """Count 8-connected parts by flooding, pixel by pixel."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    parts = 0
    while left:
        parts, border = parts + 1, [left.pop()]
        while border:
            y, x = border.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            border.extend(near)
    return parts


@pytest.mark.parametrize("seed", range(10))
def test_areas_add_up_to_the_foreground(seed: int) -> None:
    """Every pixel but background belongs to one region."""
    labels = random_labels(seed)
    regions = regions_by_value(labels)
    assert sum(region.area for region in regions.values()) == np.count_nonzero(labels)
    assert list(regions) == sorted(set(np.unique(labels).tolist()) - {0})


@pytest.mark.parametrize("seed", range(10))
def test_a_box_is_tight(seed: int) -> None:
    """All pixels lie inside, and every side touches one."""
    labels = random_labels(seed)
    for value, region in regions_by_value(labels).items():
        inside = labels[region.y0 : region.y1 + 1, region.x0 : region.x1 + 1] == value
        assert np.count_nonzero(inside) == region.area == np.count_nonzero(labels == value)
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


@pytest.mark.parametrize("seed", range(10))
def test_parts_are_counted_as_by_flooding(seed: int) -> None:
    """OpenCV and a plain flood fill agree."""
    labels = random_labels(seed)
    for value, region in regions_by_value(labels).items():
        assert region.components == flood_count(labels == value)


def test_diagonal_neighbours_are_one_part() -> None:
    """Parts are 8-connected."""
    assert region_of(np.eye(4, dtype=bool)) == LabelledRegion(area=4, x0=0, y0=0, x1=3, y1=3, components=1)


def test_a_mask_of_everything_is_one_part() -> None:
    """A mask without any background is counted right."""
    assert region_of(np.ones((3, 5), bool)) == LabelledRegion(area=15, x0=0, y0=0, x1=4, y1=2, components=1)


def test_a_single_pixel_is_its_own_box() -> None:
    """The smallest mask, at the largest id, beside background only."""
    labels = np.zeros((6, 9), np.uint8)
    labels[4, 7] = 255
    assert regions_by_value(labels) == {255: LabelledRegion(area=1, x0=7, y0=4, x1=7, y1=4, components=1)}


def test_background_alone_has_no_region() -> None:
    """Value 0 is no food."""
    assert regions_by_value(np.zeros((3, 3), np.uint8)) == {}


def square(left: int, top: int, side: int) -> np.ndarray:
    """Return a mask of 60 x 80 with one square."""
    mask = np.zeros((60, 80), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def test_iou_is_counted_by_hand() -> None:
    """Two squares of 100 pixels that share a quarter."""
    assert iou(square(0, 0, 10), square(5, 5, 10)) == 25 / 175
    assert iou(square(0, 0, 10), square(20, 0, 10)) == 0
    assert iou(np.zeros((3, 3), np.bool_), np.zeros((3, 3), np.bool_)) == 1


@given(image_and_mask(), st.integers(1, 5))
def test_the_rim_is_what_erosion_takes(pair: tuple[np.ndarray, np.ndarray], pixels: int) -> None:
    """As in the reference implementation: as many erosions by 3 x 3, nothing inside beyond the photo."""
    _, mask = pair
    padded = np.pad(mask, 1).astype(np.uint8)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=pixels)[1:-1, 1:-1].astype(np.bool_)
    np.testing.assert_array_equal(rim(mask, pixels), mask & ~eroded)


@given(image_and_mask())
def test_a_mask_agrees_with_itself(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Both measures are 1; against nothing both are 0."""
    _, mask = pair
    assert (iou(mask, mask), boundary_iou(mask, mask, width=0.02)) == (1, 1)
    nothing = np.zeros_like(mask)
    assert (iou(mask, nothing), boundary_iou(mask, nothing, width=0.02)) == (0, 0)


def test_the_boundary_shows_what_area_hides() -> None:
    """One pixel around a large square costs little IoU, but half of its rim of two pixels; thin ones weigh alike."""
    large, larger = square(10, 5, 48), square(9, 4, 50)
    assert iou(large, larger) > 0.92
    assert boundary_iou(large, larger, width=0.02) < 0.4
    thin = square(10, 5, 2)
    assert boundary_iou(thin, thin | square(10, 5, 3), width=0.02) == pytest.approx(4 / 9)


def test_the_picture_tells_missed_from_added() -> None:
    """Plain where both are, cyan where the second misses, magenta where it adds, dim elsewhere."""
    photo = np.full((60, 80, 3), 100, np.uint8)
    shown = compare_masks(photo, square(10, 10, 20), square(20, 10, 20))
    assert shown[15, 25].tolist() == [100, 100, 100]
    assert shown[15, 15, 0] < 100 < shown[15, 15, 2]
    assert shown[15, 35, 1] < 100 < shown[15, 35, 0]
    assert shown[50, 70].tolist() == [35, 35, 35]
    assert shown[10, 15].tolist() == [255, 255, 255]
