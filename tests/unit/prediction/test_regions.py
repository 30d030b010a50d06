"""Where foods are: prompts, mask files, proposals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError, EmptyMaskError
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.prediction.regions import DrawnRegions, PromptedRegions, ProposedRegions, regions_at
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.source import Answer
from tests.meal import GREEN, HEIGHT, RED, WIDTH, Meal, write_meal
from tests.raw_folder import save


def box(x0: int, y0: int, x1: int, y1: int) -> Prompt:
    """Return a box."""
    return Prompt("box", (float(x0), float(y0), float(x1), float(y1)))


@pytest.fixture
def meal(tmp_path: Path) -> Meal:
    """Return files of a photo with two foods."""
    return write_meal(tmp_path)


class Column:
    """A mask source that answers every prompt with its left column, and counts how often it sees a photo."""

    name = "column"

    def __init__(self) -> None:
        """Begin to count."""
        self.photos = 0

    def answer(self, photo: Image, prompts: Sequence[Prompt]) -> list[Answer]:
        """Return a column a prompt; none where it starts at column 0."""
        self.photos += 1
        columns = [int(prompt.bounds()[0]) for prompt in prompts]
        return [Answer((np.arange(photo.shape[1]) == x)[None].repeat(len(photo), 0) & (x > 0), 0.5) for x in columns]


def test_grabcut_finds_the_food_inside_a_box(meal: Meal) -> None:
    """Each box its own food, whatever other boxes are asked about."""
    labels = read_label_map(meal.label_map)
    wide = [(x0 - 2, y0 - 2, x1 + 2, y1 + 2) for x0, y0, x1, y1 in (RED, GREEN)]
    red, green = regions_at(GrabCut(), read_photo(meal.photo), [box(*edges) for edges in wide])
    for value, region in ((1, red), (2, green)):
        assert (region.mask & (labels == value)).sum() / (region.mask | (labels == value)).sum() > 0.95
        assert (region.found_by, region.status) == ("grabcut", "ok")
    assert red.label == "box 28,6,52,26"


def test_a_source_sees_the_photo_once_for_all_prompts(meal: Meal) -> None:
    """SAM's encoder takes half a minute a photo on a CPU; equal prompts are answered twice."""
    source, photo = Column(), read_photo(meal.photo)
    regions = PromptedRegions(source, (box(3, 0, 9, 9), box(7, 0, 9, 9), box(3, 0, 9, 9))).find(photo, meal.photo)
    assert source.photos == 1
    assert [int(region.mask.any(axis=0).argmax()) for region in regions] == [3, 7, 3]


def test_where_nothing_is_found_the_prompt_itself_stands_in(meal: Meal) -> None:
    """And the region says so."""
    point, area = regions_at(Column(), read_photo(meal.photo), [Prompt("point", (0.0, 4.0)), box(0, 1, 2, 3)])
    assert (point.status, point.mask.sum(), point.mask[4, 0]) == ("empty", 1, True)
    assert (area.status, area.mask.sum(), area.score) == ("empty", 9, 0.0)


@pytest.mark.parametrize("prompt", [box(0, 0, WIDTH, 5), box(0, 0, 5, HEIGHT), Prompt("point", (-1.0, 0.0))])
def test_prompts_outside_the_photo_are_refused(meal: Meal, prompt: Prompt) -> None:
    """With the photo's name and size."""
    border = "60 x 40 pixels: its columns are 0 to 59, its rows 0 to 39"
    with pytest.raises(DatasetError, match=rf"meal.png: {prompt.kind} .* is not inside the photo of {border}$"):
        PromptedRegions(GrabCut(), (prompt,)).find(read_photo(meal.photo), meal.photo)


def test_a_mask_of_several_foods_wants_a_choice(meal: Meal) -> None:
    """One value, or every value, in ascending order."""
    photo, labels = read_photo(meal.photo), read_label_map(meal.label_map)
    with pytest.raises(DatasetError, match="several foods, 1, 2; choose one by --value, or --all"):
        DrawnRegions(meal.label_map).find(photo, meal.photo)
    with pytest.raises(DatasetError, match="no pixel has value 3; there are 1, 2"):
        DrawnRegions(meal.label_map, value=3).find(photo, meal.photo)
    (one,) = DrawnRegions(meal.label_map, value=2).find(photo, meal.photo)
    both = DrawnRegions(meal.label_map, every=True).find(photo, meal.photo)
    np.testing.assert_array_equal(one.mask, labels == 2)
    assert [region.label for region in both] == ["value 1", "value 2"]
    np.testing.assert_array_equal(both[1].mask, one.mask)


@pytest.mark.parametrize("white", [1, 255])
def test_a_binary_mask_needs_no_choice(meal: Meal, white: int) -> None:
    """Whatever its white is."""
    save((read_label_map(meal.label_map) == 1) * white, meal.label_map)
    (region,) = DrawnRegions(meal.label_map).find(read_photo(meal.photo), meal.photo)
    assert region.mask.sum() == (RED[2] - RED[0] + 1) * (RED[3] - RED[1] + 1)


def test_an_inverted_palette_changes_no_region(meal: Meal) -> None:
    """White is the food, also where it has index 0."""
    red = read_label_map(meal.label_map) == 1
    for food in (red, ~red):
        Pillow.fromarray(food.astype(np.uint8) * 255).quantize(2).save(meal.label_map)
        (region,) = DrawnRegions(meal.label_map).find(read_photo(meal.photo), meal.photo)
        np.testing.assert_array_equal(region.mask, food)


def test_a_soft_mask_is_cut_at_half_and_said_to_be_soft(meal: Meal, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names the file."""
    ramp = np.tile(np.linspace(0, 255, WIDTH), (HEIGHT, 1)).astype(np.uint8)
    save(ramp, meal.label_map)
    (region,) = DrawnRegions(meal.label_map).find(read_photo(meal.photo), meal.photo)
    np.testing.assert_array_equal(region.mask, ramp >= 128)
    assert "meal.mask.png: a mask of many grays" in capsys.readouterr().err


def test_a_folder_of_masks_is_matched_by_stem(meal: Meal, tmp_path: Path) -> None:
    """As in the official layout, or `<stem>.mask.png`; a photo without one is named."""
    photo = read_photo(meal.photo)
    assert len(DrawnRegions(tmp_path, every=True).find(photo, Path("elsewhere/meal.jpg"))) == 1 + 1
    save(read_label_map(meal.label_map), tmp_path / "other.png")
    assert len(DrawnRegions(tmp_path, every=True).find(photo, Path("other.jpg"))) == 1 + 1
    with pytest.raises(DatasetError, match="third.jpg: no mask third.png in"):
        DrawnRegions(tmp_path).find(photo, Path("third.jpg"))


def test_masks_that_do_not_fit_are_refused(meal: Meal) -> None:
    """Black ones, and those of another size."""
    photo = read_photo(meal.photo)
    save(np.zeros((HEIGHT, WIDTH)), meal.label_map)
    with pytest.raises(EmptyMaskError, match="every pixel is black"):
        DrawnRegions(meal.label_map).find(photo, meal.photo)
    save(np.ones((7, 9)), meal.label_map)
    with pytest.raises(DatasetError, match=r"mask of 9 x 7 pixels, photo .*meal.png has 60 x 40"):
        DrawnRegions(meal.label_map).find(photo, meal.photo)


def test_proposals_are_what_the_source_finds_by_itself(meal: Meal) -> None:
    """Columns under a grid of clicks, each once."""
    regions = ProposedRegions(Column()).find(read_photo(meal.photo), meal.photo)
    columns = sorted(int(region.mask.any(axis=0).argmax()) for region in regions)
    assert columns == sorted(set(columns))
    assert len(columns) == 8
    assert {region.found_by for region in regions} == {"column"}
