"""Where foods are: prompts, mask files, proposals."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.datasets.prompts import Prompt
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.inference.inputs import STANDARD_INPUT
from pipeline.inference.regions import DrawnRegions, PromptedRegions, ProposedRegions, pair_masks, prompted_regions
from pipeline.runtime.errors import DatasetError, EmptyMaskError
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import MaskPrediction
from pipeline.segmentation.proposals import ProposalFilter
from tests.meal import GREEN, HEIGHT, RED, WIDTH, Meal, write_meal
from tests.raw_folder import save


def box(x0: int, y0: int, x1: int, y1: int) -> Prompt:
    """Return a box."""
    return Prompt("box", (float(x0), float(y0), float(x1), float(y1)))


RED_PIXEL = box(RED[0], RED[1], RED[0], RED[1])
AROUND_RED = box(RED[0] - 2, RED[1] - 2, RED[2] + 2, RED[3] + 2)


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

    def predict(self, photo: Image, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Return a column a prompt; none where it starts at column 0."""
        self.photos += 1
        columns = [int(prompt.bounds()[0]) for prompt in prompts]
        return [
            MaskPrediction((np.arange(photo.shape[1]) == x)[None].repeat(len(photo), 0) & (x > 0), 0.5) for x in columns
        ]


def test_grabcut_finds_the_food_inside_a_box(meal: Meal) -> None:
    """Each box its own food, whatever other boxes are asked about."""
    labels = read_label_map(meal.label_map)
    wide = [(x0 - 2, y0 - 2, x1 + 2, y1 + 2) for x0, y0, x1, y1 in (RED, GREEN)]
    red, green = prompted_regions(GrabCut(), read_photo(meal.photo), [box(*edges) for edges in wide])
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
    point, area = prompted_regions(Column(), read_photo(meal.photo), [Prompt("point", (0.0, 4.0)), box(0, 1, 2, 3)])
    assert (point.status, point.mask.sum(), point.mask[4, 0]) == ("empty", 1, True)
    assert (area.status, area.mask.sum(), area.score) == ("empty", 9, 0.0)


def test_a_region_says_what_a_person_should_know_of_it(meal: Meal) -> None:
    """A box that was cut, a box that stands in, a mask in which nothing can be seen."""
    cut, one, good = prompted_regions(
        GrabCut(), read_photo(meal.photo), [box(2, 20, 5 * WIDTH, HEIGHT), RED_PIXEL, AROUND_RED]
    )
    assert cut.label == f"box 2,20,{WIDTH - 1},{HEIGHT - 1}"
    assert cut.remark == f"cut at the border from box 2,20,{5 * WIDTH},{HEIGHT}"
    assert one.status != "ok"
    assert "of 1 pixel only: a run sees next to nothing" in one.remark
    assert (good.status, good.remark) == ("ok", "")
    (missed,) = prompted_regions(Column(), read_photo(meal.photo), [box(0, 0, 19, 19)])
    assert (missed.status, missed.remark) == ("empty", "column found nothing there, the box itself is taken")


def test_a_mask_of_few_pixels_says_so(meal: Meal) -> None:
    """Whoever drew it."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[3, 4] = 7
    save(labels, meal.label_map)
    (dot,) = DrawnRegions(meal.label_map).find(read_photo(meal.photo), meal.photo)
    assert (dot.status, dot.remark) == ("tiny", "of 1 pixel only: a run sees next to nothing")


@pytest.mark.parametrize("prompt", [box(-9, 0, -1, 5), box(WIDTH, 0, WIDTH, 5), Prompt("point", (-1.0, 0.0))])
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


def test_each_photo_is_answered_by_its_own_mask(meal: Meal, tmp_path: Path) -> None:
    """A photo without one is named."""
    photo = read_photo(meal.photo)
    given = (tmp_path / "meal.jpg", tmp_path / "third.jpg")
    finder = DrawnRegions(pair_masks(given, tmp_path, base=tmp_path), every=True)
    assert len(finder.find(photo, given[0])) == 1 + 1
    with pytest.raises(DatasetError, match="third.jpg: no mask third.png in"):
        finder.find(photo, given[1])


def paired(tmp_path: Path, photos: Sequence[str], masks: Sequence[str]) -> dict[str, str]:
    """Lay out empty files; return the mask, or the start of the refusal, by photo."""
    for name in (*(f"photos/{name}" for name in photos), *(f"masks/{name}" for name in masks)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    base, folder = tmp_path / "photos", tmp_path / "masks"
    pairs = pair_masks([base / name for name in photos], folder, base=base)
    assert {*pairs.masks, *pairs.refusals} == {base / name for name in photos}
    found = {photo: str(mask.relative_to(folder)) for photo, mask in pairs.masks.items()} | pairs.refusals
    return {str(Path(str(photo)).relative_to(base)): text.split(": ")[-1] for photo, text in found.items()}


def test_a_mask_has_the_place_of_its_photo(tmp_path: Path) -> None:
    """Photos of two days with equal names have different foods."""
    found = paired(tmp_path, ["day1/a.jpg", "day2/a.jpg"], ["day1/a.png", "day2/a.mask.png", "a.png"])
    assert found == {"day1/a.jpg": "day1/a.png", "day2/a.jpg": "day2/a.mask.png"}


def test_elsewhere_a_stem_counts_only_where_one_mask_and_one_photo_have_it(tmp_path: Path) -> None:
    """Two photos never share a mask, and a photo never has the choice of two; the one in its place is certain."""
    assert paired(tmp_path / "flat", ["day1/a.jpg", "day2/b.jpg"], ["a.png", "x/b.png"]) == {
        "day1/a.jpg": "a.png",
        "day2/b.jpg": "x/b.png",
    }
    both = paired(tmp_path / "shared", ["day1/a.jpg", "day2/a.jpg"], ["a.png"])
    assert all("may have the same mask" in text for text in both.values())
    one = paired(tmp_path / "one", ["day1/a.jpg", "day2/a.jpg"], ["day1/a.png"])
    assert one["day1/a.jpg"] == "day1/a.png"
    assert "may have the same mask" in one["day2/a.jpg"]
    (several,) = paired(tmp_path / "several", ["a.jpg"], ["x/a.png", "y/a.png"]).values()
    assert "may have several masks" in several
    formats = paired(tmp_path / "formats", ["a.jpg", "a.png"], ["a.png"])
    assert all("may have the same mask" in text for text in formats.values())


def test_suffix_case_unicode_form_and_hidden_files_do_not_matter(tmp_path: Path) -> None:
    """As in `download.extra`: the Finder writes decomposed names and AppleDouble files."""
    composed, decomposed = (unicodedata.normalize(form, "Menü 1/Gemüse") for form in ("NFC", "NFD"))
    masks = [f"{decomposed}.PNG", f"__MACOSX/{decomposed}.png", f"{Path(decomposed).parent}/._Gemüse.png"]
    assert paired(tmp_path, [f"{composed}.JPG"], masks) == {f"{composed}.JPG": f"{decomposed}.PNG"}


def test_no_photo_is_its_own_mask(tmp_path: Path) -> None:
    """Photos and masks in one folder, both PNG."""
    names = ("a.png", "a.mask.png", "b.png", "c.jpg", "c.png", "d/b.png")
    (tmp_path / "d").mkdir()
    for name in names:
        (tmp_path / name).touch()
    photos = [tmp_path / name for name in names if ".mask" not in name]
    pairs = pair_masks(photos, tmp_path, base=tmp_path)
    assert pairs.masks == {tmp_path / "a.png": tmp_path / "a.mask.png", tmp_path / "c.jpg": tmp_path / "c.png"}


def test_the_standard_input_has_the_mask_called_photo(tmp_path: Path) -> None:
    """It has no name of its own."""
    pairs = pair_masks([STANDARD_INPUT], tmp_path, base=tmp_path)
    assert pairs.refusals[STANDARD_INPUT].startswith("-: no mask photo.png in")


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
    regions = ProposedRegions(Column(), ProposalFilter()).find(read_photo(meal.photo), meal.photo)
    columns = sorted(int(region.mask.any(axis=0).argmax()) for region in regions)
    assert columns == sorted(set(columns))
    assert len(columns) == 8
    assert {region.found_by for region in regions} == {"column"}
