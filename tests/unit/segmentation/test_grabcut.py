"""Masks from boxes."""

import numpy as np
import pytest

from pipeline.datasets.prompts import Prompt
from pipeline.runtime.errors import DatasetError
from pipeline.segmentation.grabcut import GrabCut


def disc(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a noisy photo of a red disc on a green table, and the disc's mask."""
    rows, columns = np.mgrid[:height, :width]
    mask = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(height, width) / 4) ** 2
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    return (np.where(mask[..., np.newaxis], (200, 30, 30), (30, 160, 40)) + noise).astype(np.uint8), mask


def box_around(mask: np.ndarray, margin: int) -> Prompt:
    """Return a box a person might draw."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    corners = (columns[0] - margin, rows[0] - margin, columns[-1] + margin, rows[-1] + margin)
    return Prompt("box", tuple(map(float, corners)))


@pytest.mark.parametrize(("height", "width"), [(90, 120), (900, 1200)])
def test_a_box_around_a_disc_gives_the_disc(height: int, width: int) -> None:
    """Far better than the box itself, also for photos that are shrunk first."""
    photo, disc_mask = disc(height, width)
    (answer,) = GrabCut().predict(photo, [box_around(disc_mask, height // 15)])
    assert answer.mask.shape == disc_mask.shape
    assert (answer.mask & disc_mask).sum() / (answer.mask | disc_mask).sum() > 0.9
    assert 0.3 < answer.score < 0.8


def test_answers_come_in_the_order_of_the_boxes_and_stay_inside_them() -> None:
    """One answer per prompt; permuting the prompts permutes the answers, bit for bit."""
    photo, disc_mask = disc(90, 120)
    boxes = [Prompt("box", (0.0, 0.0, 70.0, 70.0)), box_around(disc_mask, 3), Prompt("box", (50.0, 10.0, 60.0, 80.0))]
    answers = GrabCut().predict(photo, boxes)
    for answer, again in zip(answers, reversed(GrabCut().predict(photo, boxes[::-1])), strict=True):
        np.testing.assert_array_equal(answer.mask, again.mask)
    assert not answers[2].mask[:, :50].any()


@pytest.mark.parametrize("corners", [(5.0, 5.0, 5.0, 5.0), (0.0, 0.0, 118.0, 89.0), (0.0, 0.0, 119.0, 89.0)])
def test_boxes_of_one_pixel_and_of_the_whole_photo_have_an_answer(corners: tuple[float, ...]) -> None:
    """Nothing to learn from on one side must not break; a box over everything is answered by nothing."""
    (answer,) = GrabCut().predict(disc(90, 120)[0], [Prompt("box", corners)])
    assert answer.mask.shape == (90, 120)
    assert answer.score == 0 or answer.mask.any()


def test_a_click_is_refused() -> None:
    """A click needs a model that knows objects."""
    with pytest.raises(DatasetError, match="needs a segmentation model to answer it; draw a box"):
        GrabCut().predict(disc(9, 9)[0], [Prompt("point", (1.0, 1.0))])


def test_a_box_outside_the_photo_is_refused() -> None:
    """Boxes of another photo are a mistake worth knowing."""
    with pytest.raises(DatasetError, match="not inside the photo of 12 x 9 pixels"):
        GrabCut().predict(disc(9, 12)[0], [Prompt("box", (1.0, 1.0, 12.0, 3.0))])
