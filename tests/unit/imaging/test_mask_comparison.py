"""How far two masks agree."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.imaging.components import boundary_iou, compare_masks, iou, rim
from tests.strategies import image_and_mask


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
