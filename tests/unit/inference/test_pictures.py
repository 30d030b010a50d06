"""The picture of a whole plate."""

from itertools import combinations

import numpy as np
import pytest

from pipeline.inference.pictures import COLOURS, LABELLED_SIDE, UNNAMED, LabelledMask, label_foods

LEFT, RIGHT = np.zeros((60, 90), np.bool_), np.zeros((60, 90), np.bool_)
LEFT[10:50, 5:40], RIGHT[10:50, 50:85] = True, True
RICE, TOMATO = (250, 250, 245), (200, 30, 20)


def test_neighbouring_colours_are_far_apart() -> None:
    """Any two, and each from the gray of what is not named."""
    for one, other in combinations((*COLOURS, UNNAMED), 2):
        assert np.linalg.norm(np.subtract(one, other)) > 70, (one, other)


@pytest.mark.parametrize("background", [RICE, TOMATO], ids=["rice", "tomato"])
def test_outline_and_name_show_on_any_food(background: tuple[int, int, int]) -> None:
    """The name is dark on a white plate of its own; the line has the food's colour."""
    photo = np.full((60, 90, 3), background, np.uint8)
    foods = [LabelledMask(LEFT, "tomato", 0.83), LabelledMask(RIGHT, "not a known food", None)]
    shown = label_foods(photo, foods).astype(int)
    scale = LABELLED_SIDE / 90
    assert shown.shape[0] == 800
    assert shown.shape[1] > LABELLED_SIDE  # the legend is beside the photo
    for mask, colour, dark in ((LEFT, COLOURS[0], 200), (RIGHT, UNNAMED, 20)):  # a name, and a number alone
        rows, columns = (slice(round(at.min() * scale), round((at.max() + 1) * scale)) for at in np.nonzero(mask))
        inside = shown[rows, columns].reshape(-1, 3)
        assert (inside == colour).all(axis=1).mean() > 0.01
        assert (inside == 255).all(axis=1).sum() > 1000
        assert (inside.max(axis=1) < 80).sum() > dark
    outside = shown[: round(9 * scale), :LABELLED_SIDE]
    np.testing.assert_allclose(outside, np.broadcast_to(background, outside.shape), atol=1)


def test_any_photo_and_number_of_foods_can_be_shown() -> None:
    """None at all, more than there are colours, all in one place, one that is lost at this size."""
    thin = np.zeros((3000, 4000), np.bool_)
    thin[1, 1] = True
    assert label_foods(np.zeros((3000, 4000, 3), np.uint8), [LabelledMask(thin, "rice", 1.0)]).shape[0] == 900
    photo = np.zeros((60, 90, 3), np.uint8)
    empty = label_foods(photo, [], "drawings only")
    assert empty.shape[0] > 800
    assert (empty[800:] < 80).any()  # it says that no food was found, and what to be cautious of
    many = label_foods(photo, [LabelledMask(LEFT, f"food {number}" * 9, 0.5) for number in range(40)])
    assert many.shape[0] > 40 * 30
