"""From the prompts of a sample to its mask."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.arrays import Image
from pipeline.datasets.prompts import Prompt, prompts_json
from pipeline.runtime.errors import DatasetError
from pipeline.segmentation.mask_source import MaskPrediction, prompted_mask
from pipeline.segmentation.prompts import box_mask, load_prompts

PHOTO = np.zeros((6, 8, 3), np.uint8)
PROMPTS = (Prompt("box", (1.0, 1.0, 2.0, 3.0)), Prompt("point", (5.0, 0.0)))


class Echo:
    """Source whose answer is the prompt itself, or nothing."""

    name = "echo"

    def __init__(self, *, finds: bool) -> None:
        """Find everything or nothing."""
        self.finds = finds

    def predict(self, photo: Image, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Answer 0.5, 1.0, 1.5, ... or 0."""
        height, width = photo.shape[:2]
        masks = [box_mask(prompt, height=height, width=width) & self.finds for prompt in prompts]
        return [MaskPrediction(mask, self.finds * number / 2) for number, mask in enumerate(masks, start=1)]


def test_answers_are_united() -> None:
    """One mask per sample: the union, with the mean score."""
    answer = prompted_mask(Echo(finds=True), PHOTO, PROMPTS, sample_id="test/a/1")
    assert answer.mask.sum() == 6 + 1
    assert (answer.score, answer.status) == (0.75, "ok")


def test_where_nothing_is_found_the_prompts_stand_in() -> None:
    """The fallback has pixels, score 0 and says so, so that every source has the same samples."""
    answer = prompted_mask(Echo(finds=False), PHOTO, PROMPTS, sample_id="test/a/1")
    assert answer.mask.sum() == 6 + 1
    assert (answer.score, answer.status) == (0.0, "empty")


class OnePixel:
    """Source that answers with the first pixel of a prompt, sure of itself."""

    name = "pixel"

    def predict(self, photo: Image, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Return a pixel a prompt."""
        height, width = photo.shape[:2]
        corners = [Prompt("point", prompt.bounds()[:2]) for prompt in prompts]
        return [MaskPrediction(box_mask(corner, height=height, width=width), 0.9) for corner in corners]


def test_next_to_nothing_of_a_box_is_nothing() -> None:
    """A run would be shown a black picture; a pixel under a click, or in a box of few, is what was asked for."""
    photo = np.zeros((60, 60, 3), np.uint8)
    cases = ((Prompt("box", (0.0, 0.0, 19.0, 19.0)), "empty"), (Prompt("box", (0.0, 0.0, 4.0, 4.0)), "ok"))
    for prompt, status in (*cases, (Prompt("point", (3.0, 3.0)), "ok")):
        found = prompted_mask(OnePixel(), photo, [prompt], sample_id="test/a/1")
        assert found.status == status
    found = prompted_mask(OnePixel(), photo, [cases[0][0]], sample_id="test/a/1")
    assert (found.mask.sum(), found.score) == (400, 0.0)


def test_an_impossible_prompt_names_the_sample() -> None:
    """The source knows the prompt, the caller the sample; the message has both."""
    with pytest.raises(DatasetError, match=r"test/a/1: the point .* is not inside the photo of 8 x 6"):
        prompted_mask(Echo(finds=True), PHOTO, [Prompt("point", (8.0, 0.0))], sample_id="test/a/1")


def test_prompts_of_the_sample_table_are_read_back() -> None:
    """What index wrote is what segment reads."""
    assert load_prompts(prompts_json(PROMPTS), sample_id="test/a/1") == PROMPTS


@pytest.mark.parametrize("text", ["[]", "{", "[1]", '[{"box": [1, 2]}]', '[{"text": "a"}]', '[{"point": "x"}]', "null"])
def test_other_text_is_refused(text: str) -> None:
    """Anything but a list of points and boxes names the sample."""
    with pytest.raises(DatasetError, match="test/a/1: prompts"):
        load_prompts(text, sample_id="test/a/1")
