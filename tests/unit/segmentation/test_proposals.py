"""What is proposed of the masks that a source finds: foods, not the plate, the table, duplicates or fragments."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from pipeline.arrays import AnyImage, Mask
from pipeline.runtime.errors import ParamsError
from pipeline.segmentation.mask_source import MaskPrediction
from pipeline.segmentation.proposals import ProposalFilter, parse_filter, propose, select_foods

SHAPE = (120, 160)
DEFAULT = ProposalFilter()


def disc(x: int, y: int, radius: int) -> Mask:
    """Return a round mask."""
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    mask: Mask = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return mask


PLATE, RICE, STEAK, GLOSS = disc(80, 60, 50), disc(60, 60, 26), disc(108, 60, 19), disc(108, 60, 7)
WHOLE = {"plate": PLATE, "rice": RICE, "steak": STEAK, "gloss": GLOSS, "table": ~PLATE, "crumb": disc(10, 10, 2)}
RING = WHOLE | {"plate": PLATE & ~RICE & ~STEAK}


def names(masks: dict[str, Mask], chosen: ProposalFilter = DEFAULT, order: Sequence[str] | None = None) -> list[str]:
    """Return the names of the masks that are kept; earlier ones of `masks` are the surer."""
    scores = {name: 0.95 - 0.01 * number for number, name in enumerate(masks)}
    found = select_foods([MaskPrediction(masks[name], scores[name]) for name in order or masks], chosen)
    return [next(name for name, score in scores.items() if score == each.score) for each in found]


@pytest.mark.parametrize("masks", [WHOLE, RING], ids=["plate with foods", "plate without foods"])
def test_foods_are_kept_alone(masks: dict[str, Mask]) -> None:
    """Whether the plate's mask has the foods in it, as FastSAM's, or holes in their places, as SAM's."""
    assert names(masks) == ["rice", "steak"]


def test_the_order_of_the_candidates_changes_nothing() -> None:
    """Plates and fragments are told by what lies in what."""
    for order in list(permutations(WHOLE))[::37]:
        assert names(WHOLE, order=order) == ["rice", "steak"]


def test_of_two_masks_of_one_food_the_surer_stays() -> None:
    """However they overlap; two foods that touch are two."""
    assert names({"a": RICE, "b": disc(61, 60, 26), "beside": disc(112, 60, 26)}) == ["a", "beside"]


def test_a_food_in_its_bowl_is_found_not_the_bowl() -> None:
    """One food that fills its bowl by more than half, and by less than a duplicate does."""
    assert names({"bowl": disc(80, 60, 50), "soup": disc(80, 60, 40)}) == ["soup"]
    assert names({"pizza": disc(80, 60, 50), "olive": disc(80, 60, 8), "ham": disc(100, 40, 12)}) == ["pizza"]


@pytest.mark.parametrize(
    ("change", "gained"),
    [
        ({"min_share": 0.0005}, "crumb"),
        ({"max_border": 1.0, "max_contents": 0.99}, "table"),
        ({"max_contents": 0.99}, "plate"),
        ({"max_iou": 1.0, "inside": 1.0}, "twin"),
    ],
)
def test_every_threshold_can_be_lifted(change: dict[str, float], gained: str) -> None:
    """What it drops then comes back."""
    masks = WHOLE | {"twin": disc(61, 60, 26)}
    assert gained not in names(masks)
    assert gained in names(masks, DEFAULT.model_copy(update=change))


def test_thresholds_that_drop_more() -> None:
    """Of scores, areas and numbers."""
    assert names(WHOLE, DEFAULT.model_copy(update={"min_score": 0.96})) == []
    assert names(WHOLE, DEFAULT.model_copy(update={"max_share": 0.1})) == ["steak"]
    assert names(WHOLE, DEFAULT.model_copy(update={"limit": 1})) == ["rice"]
    assert names({}) == []
    assert names({"nothing": PLATE & False}, DEFAULT.model_copy(update={"min_share": 0.0})) == []


class Finder:
    """A source that finds masks by itself."""

    name = "finder"

    def candidates(self, photo: AnyImage) -> list[MaskPrediction]:
        """Return three masks."""
        assert photo.shape[:2] == SHAPE
        return [MaskPrediction(mask, 0.9) for mask in (PLATE, RICE, STEAK)]


def test_a_source_that_finds_masks_by_itself_is_not_asked_by_clicks() -> None:
    """Each with the box that asks for it."""
    found = propose(Finder(), np.zeros((*SHAPE, 3), np.uint8), DEFAULT)
    assert [each.box.coordinates for each in found] == [(34.0, 34.0, 86.0, 86.0), (89.0, 41.0, 127.0, 79.0)]


def test_thresholds_are_read_as_typed() -> None:
    """The last one of a name wins; the others keep their defaults."""
    chosen = parse_filter(["limit=8", "max_iou=0.5", "limit=3"])
    assert chosen == DEFAULT.model_copy(update={"limit": 3, "max_iou": 0.5})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_iou", "--filter max_iou=: should be a valid number"),
        ("max_iou=80", "should be less than or equal to 1; IoU above which"),
        ("max_iou=nan", "should be a finite number"),
        ("iou=0.8", "is none of min_score, min_share"),
        ("limit=0", "should be greater than or equal to 1"),
    ],
)
def test_other_thresholds_are_refused(text: str, words: str) -> None:
    """In one line."""
    with pytest.raises(ParamsError) as error:
        parse_filter([text])
    assert words in str(error.value)
    assert "\n" not in str(error.value)
