"""Annotated masks; prompts from them are those a user would give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params.masks import PromptParams
from pipeline.segmentation.prompts import deepest_pixel, parts_of, prompts_of
from tests.strategies import image_and_mask

PARAMS = PromptParams(kind="box_point", min_area=0, min_share=0.0, max_parts=16, jitter=0.0, seed=0)

LABELS = np.array([[0, 1, 2], [2, 2, 255]], np.uint8)


def with_squares(*sides: int) -> np.ndarray:
    """Return a mask of squares in a row, far apart."""
    mask = np.zeros((40, 40 * len(sides)), np.bool_)
    for number, side in enumerate(sides):
        mask[5 : 5 + side, 40 * number + 3 : 40 * number + 3 + side] = True
    return mask


@given(image_and_mask())
def test_parts_make_up_the_mask(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Every pixel belongs to exactly one part, largest first, each in its tight box."""
    _, mask = pair
    rebuilt = np.zeros(mask.shape, np.int64)
    parts = parts_of(mask)
    for part in parts:
        x0, y0, x1, y1 = part.box
        rebuilt[y0 : y1 + 1, x0 : x1 + 1] += part.crop
        assert part.crop[0].any()
        assert part.crop[-1].any()
        assert part.crop[:, 0].any()
        assert part.crop[:, -1].any()
        assert part.area == part.crop.sum()
    np.testing.assert_array_equal(rebuilt, mask)
    assert [part.area for part in parts] == sorted((part.area for part in parts), reverse=True)


@given(image_and_mask())
def test_clicks_lie_on_the_mask_and_in_their_box(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """A user clicks on the food, never beside it."""
    _, mask = pair
    for prompt in prompts_of(mask, PARAMS, sample_id="a"):
        assert prompt.point is not None
        assert prompt.box is not None
        (x, y), (x0, y0, x1, y1) = prompt.point, prompt.box
        assert mask[int(y), int(x)]
        assert x0 <= x <= x1
        assert y0 <= y <= y1


def test_the_click_is_in_the_deepest_place() -> None:
    """In the middle of the bulky half, not on the handle; at the photo's edge the edge counts as outside."""
    mask = np.zeros((30, 60), np.bool_)
    mask[5:26, 2:23], mask[15, 23:58] = True, True
    assert deepest_pixel(parts_of(mask)[0]) == (12, 15)
    assert deepest_pixel(parts_of(np.ones((5, 9), np.bool_))[0]) == (2, 2)


def test_dust_gets_no_prompt_but_the_largest_part_always_does() -> None:
    """Limits in pixels and in shares of the mask; both may not leave a sample without a prompt."""
    mask = with_squares(20, 9, 3)
    boxes = [prompt.box for prompt in prompts_of(mask, PARAMS, sample_id="a")]
    assert boxes == [(3, 5, 22, 24), (43, 5, 51, 13), (83, 5, 85, 7)]
    for limits in ({"min_area": 10}, {"min_share": 0.02}):
        assert len(prompts_of(mask, PARAMS.model_copy(update=limits), sample_id="a")) == 2
    only = prompts_of(mask, PARAMS.model_copy(update={"min_area": 10_000}), sample_id="a")
    assert [prompt.box for prompt in only] == [(3, 5, 22, 24)]


def test_at_most_so_many_parts_get_a_prompt() -> None:
    """A mask in crumbs does not cost hundreds of prompts."""
    mask = np.zeros((40, 100), np.bool_)
    mask[::2, ::2] = True
    assert len(parts_of(mask)) == 1000
    assert len(prompts_of(mask, PARAMS, sample_id="a")) == 16


@given(image_and_mask(), st.sampled_from([0.05, 0.5]))
def test_an_unsteady_hand_stays_on_the_photo(pair: tuple[np.ndarray, np.ndarray], jitter: float) -> None:
    """Jittered boxes keep a pixel and lie inside; clicks stay where they are."""
    _, mask = pair
    shaky = PARAMS.model_copy(update={"jitter": jitter})
    for exact, moved in zip(*(prompts_of(mask, p, sample_id="a") for p in (PARAMS, shaky)), strict=True):
        assert moved.box is not None
        x0, y0, x1, y1 = moved.box
        assert 0 <= x0 <= x1 < mask.shape[1]
        assert 0 <= y0 <= y1 < mask.shape[0]
        assert moved.point == exact.point


def test_jitter_depends_on_seed_and_sample_alone() -> None:
    """The same hand twice, another hand for another sample or seed, about as unsteady as stated."""
    mask = with_squares(30)
    shaky = PARAMS.model_copy(update={"jitter": 0.1, "kind": "box"})
    box = prompts_of(mask, shaky, sample_id="a")
    assert box == prompts_of(mask, shaky, sample_id="a")
    assert box != prompts_of(mask, shaky, sample_id="b")
    assert box != prompts_of(mask, shaky.model_copy(update={"seed": 1}), sample_id="a")
    lefts = [prompts_of(with_squares(20), shaky, sample_id=str(i))[0].coordinates[3] - 24 for i in range(400)]
    assert np.std(lefts) == pytest.approx(0.1 * 20, rel=0.15)


@pytest.mark.parametrize(("kind", "numbers"), [("box", 4), ("point", 2), ("box_point", 6)])
def test_each_kind_of_prompt_has_its_coordinates(kind: str, numbers: int) -> None:
    """One prompt a part, of the kind that was asked for."""
    params = PARAMS.model_copy(update={"kind": kind})
    prompts = prompts_of(with_squares(5, 5), params, sample_id="a")
    assert [(prompt.kind, len(prompt.coordinates)) for prompt in prompts] == [(kind, numbers)] * 2
