"""Which of the masks found in a photo a prompt means."""

import numpy as np

from pipeline.datasets.prompts import Prompt
from pipeline.segmentation.fastsam import Candidates, box_ious, select_mask


def square(left: int, top: int, side: int) -> np.ndarray:
    """Return a mask of 20 x 30 with one square."""
    mask = np.zeros((20, 30), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


MASKS = np.stack([square(2, 2, 10), square(3, 3, 6), square(20, 5, 8), np.zeros((20, 30), np.bool_)])
FOUND = Candidates.from_masks(MASKS, [0.5, 0.9, 0.7, 1.0])


def test_masks_without_pixels_are_no_candidates() -> None:
    """Nothing to see, nothing to choose; boxes are tight and inclusive."""
    assert len(FOUND.masks) == 3
    assert FOUND.boxes.tolist() == [[2, 2, 11, 11], [3, 3, 8, 8], [20, 5, 27, 12]]


def test_a_box_means_the_mask_whose_box_overlaps_it_most() -> None:
    """Not the most confident one, and not the order of what was found."""
    for box, expected in (((2.0, 2.0, 11.0, 11.0), 0), ((3.0, 3.0, 8.0, 8.0), 1), ((19.0, 4.0, 27.0, 12.0), 2)):
        answer = select_mask(FOUND, Prompt("box", box), min_iou=0.5)
        np.testing.assert_array_equal(answer.mask, MASKS[expected])
        assert answer.score == FOUND.confidences[expected]


def test_a_disjoint_box_finds_nothing() -> None:
    """FastSAM's own prompting would return some mask; here the answer is empty with score 0."""
    answer = select_mask(FOUND, Prompt("box", (12.0, 13.0, 18.0, 18.0)), min_iou=0.0001)
    assert not answer.mask.any()
    assert answer.score == 0


def test_below_the_least_overlap_nothing_fits() -> None:
    """The threshold counts."""
    box = Prompt("box", (2.0, 2.0, 11.0, 6.0))
    assert select_mask(FOUND, box, min_iou=0.49).mask.any()
    assert not select_mask(FOUND, box, min_iou=0.51).mask.any()


def test_a_click_means_the_most_confident_mask_under_it() -> None:
    """Of two nested masks the surer one; beside all masks nothing."""
    assert select_mask(FOUND, Prompt("point", (5.0, 5.0)), min_iou=0.5).score == 0.9
    assert select_mask(FOUND, Prompt("point", (2.0, 2.0)), min_iou=0.5).score == 0.5
    assert not select_mask(FOUND, Prompt("point", (15.0, 0.0)), min_iou=0.5).mask.any()


def test_a_click_in_a_box_has_to_fit_both() -> None:
    """Best overlap among the masks under the click."""
    assert select_mask(FOUND, Prompt("box_point", (2.0, 2.0, 11.0, 11.0, 5.0, 5.0)), min_iou=0.2).score == 0.5
    assert select_mask(FOUND, Prompt("box_point", (3.0, 3.0, 8.0, 8.0, 2.0, 2.0)), min_iou=0.2).score == 0.5
    assert not select_mask(FOUND, Prompt("box_point", (2.0, 2.0, 11.0, 11.0, 22.0, 7.0)), min_iou=0.2).mask.any()


def test_nothing_found_answers_every_prompt_with_nothing() -> None:
    """An empty photo is no error."""
    nothing = Candidates.from_masks(np.zeros((0, 20, 30), np.bool_), [])
    box, point = (1.0, 1.0, 5.0, 5.0), (3.0, 3.0)
    for prompt in (Prompt("box", box), Prompt("point", point), Prompt("box_point", (*box, *point))):
        answer = select_mask(nothing, prompt, min_iou=0.5)
        assert (answer.mask.shape, answer.mask.any(), answer.score) == ((20, 30), False, 0.0)


def test_overlap_counts_pixels_with_both_corners() -> None:
    """A box of one pixel has area 1; IoU against areas counted by hand."""
    boxes = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [5, 5, 9, 9]], np.float64)
    assert box_ious(boxes, (0.0, 0.0, 1.0, 0.0)).tolist() == [0.5, 0.5, 0.0]
