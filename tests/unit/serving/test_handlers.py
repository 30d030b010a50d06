"""The page without a browser: what each action makes of a photo."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.prompts import Prompt
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.inference.formats import LISTINGS
from pipeline.inference.predictor import open_run
from pipeline.inference.regions import DrawnRegions, ProposedRegions
from pipeline.runtime.errors import DatasetError, PipelineError
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import MaskPrediction
from pipeline.segmentation.proposals import ProposalFilter
from pipeline.serving.handlers import PageController, SamplePhoto
from pipeline.serving.page import DOWNLOADS, PICTURE, download
from pipeline.serving.session import MarkedPhoto, load_upload
from pipeline.steps.predict import OutputOptions, predict_photos
from tests.meal import HEIGHT, WIDTH, write_meal
from tests.served_page import encoded
from tests.small_run import write_small_run


class Halves:
    """A source that proposes the left and the right of a photo, without its margin."""

    name = "halves"

    def candidates(self, photo: np.ndarray) -> list[MaskPrediction]:
        """Return both, the left one with more confidence."""
        masks = np.zeros((2, *photo.shape[:2]), bool)
        masks[0, 2:-2, 2:20], masks[1, 2:-2, 30:-2] = True, True
        return [MaskPrediction(mask, score) for mask, score in zip(masks, (0.9, 0.8), strict=True)]


RED_BOX = Prompt("box", (28.0, 6.0, 52.0, 26.0))


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> PageController:
    """Return a controller with a run of one view, one of both, and two samples, one of them with a box."""
    folder = tmp_path_factory.mktemp("controller")
    runs = [write_small_run(folder / "alone", ("roi",)), write_small_run(folder / "both", ("roi", "extra_roi"))]
    photo = read_photo(write_meal(folder).photo)
    samples = SamplePhoto("red", photo, RED_BOX), SamplePhoto("own", photo, None)
    return PageController(tuple(open_run(run, device="cpu") for run in runs), GrabCut(), samples)


def said(marked: MarkedPhoto) -> list[list[float]]:
    """Return the logits of every run for the last food."""
    return [answer.prediction.logits.tolist() for answer in marked.foods[-1].answers]


def test_a_sample_with_a_box_is_answered_at_once(controller: PageController) -> None:
    """One without waits for the visitor; others do not exist."""
    assert len(said(controller.take_sample(0))) == 2
    assert controller.take_sample(1).foods == ()
    for number in (-1, 2):
        with pytest.raises(DatasetError, match="There are 2 samples"):
            controller.take_sample(number)


def test_two_clicks_answer(controller: PageController) -> None:
    """The first leaves the foods as they are; places are shares of the photo."""
    begun = controller.take_sample(0)
    first = controller.click(begun, "box", 28.5 / WIDTH, 6.5 / HEIGHT)
    assert (first.corner, first.foods) == ((28, 6), begun.foods)
    second = controller.click(first, "box", 52.5 / WIDTH, 26.5 / HEIGHT)
    assert [food.prompt for food in second.foods] == [RED_BOX, RED_BOX]
    assert said(second) == said(begun)
    assert controller.change(first, "undo", 0).corner is None


def test_foods_are_chosen_removed_and_taken_back(controller: PageController, tmp_path: Path) -> None:
    """One by one, or all; those of a label map replace each other, and never what the visitor marked."""
    meal = write_meal(tmp_path)
    plate = controller.find_by_label_map(controller.take_sample(0), meal.label_map.read_bytes())
    again = controller.find_by_label_map(plate, meal.label_map.read_bytes())
    for marked in (plate, again):
        assert [food.region.label for food in marked.foods] == ["box 28,6,52,26", "value 1", "value 2"]
        assert marked.food is marked.foods[-1]
    assert again.foods[0].answers == plate.foods[0].answers  # nothing is asked twice
    assert controller.change(plate, "choose", 0).food is plate.foods[0]
    assert controller.change(plate, "remove", 1).foods == (plate.foods[0], plate.foods[2])
    assert controller.change(plate, "undo", 0).foods == plate.foods[:2]
    empty = controller.change(plate, "clear", 0)
    assert controller.change(empty, "undo", 0).foods == empty.foods == ()
    for step in ("choose", "remove"):
        with pytest.raises(DatasetError, match="There are 3 foods"):
            controller.change(plate, step, 3)


def test_downloads_are_what_predict_writes(controller: PageController, tmp_path: Path) -> None:
    """The picture byte by byte, the listings but for the path of the picture."""
    meal = write_meal(tmp_path / "in")
    options = OutputOptions(top=5, pictures=tmp_path / "out", views=False, heat=False)
    list(predict_photos(controller.runs[-1], DrawnRegions(meal.label_map, every=True), [meal.photo], options))
    plate = controller.find_by_label_map(load_upload(meal.photo.read_bytes()), meal.label_map.read_bytes())
    assert set(DOWNLOADS) == {PICTURE, *LISTINGS}
    assert download(controller.runs[-1], plate, PICTURE, "") == (tmp_path / "out/meal-foods.png").read_bytes()
    for name in LISTINGS:
        written = (tmp_path / "out" / name).read_bytes()
        written = written.replace(json.dumps(str(tmp_path / "out/meal-foods.png")).encode(), b"null")
        assert download(controller.runs[-1], plate, name, str(meal.photo)) == written


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.zeros((HEIGHT, WIDTH), np.uint8), "every pixel is 0"),
        (np.ones((HEIGHT, WIDTH - 1), np.uint8), f"give a PNG of {WIDTH} x {HEIGHT} pixels"),
        (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8), "255 foods are too many"),
    ],
)
def test_a_label_map_that_cannot_be_is_told(controller: PageController, labels: np.ndarray, reason: str) -> None:
    """Without foods, of another size, or of more foods than are held."""
    with pytest.raises(PipelineError, match=reason):
        controller.find_by_label_map(controller.take_sample(1), encoded(Image.fromarray(labels), "PNG"))


def test_foods_are_found_where_a_source_proposes(controller: PageController) -> None:
    """As by `predict --all`; without one the page says what to give, and where nothing is found, so."""
    begun = controller.take_sample(1)
    with pytest.raises(DatasetError, match="start it with --text food"):
        controller.change(begun, "find", 0)
    finder = ProposedRegions(Halves(), ProposalFilter())
    found = replace(controller, finder=finder).change(begun, "find", 0)
    assert [food.region.label for food in found.foods] == ["proposal 1", "proposal 2"]
    assert all(food.answers for food in found.foods)
    blind = replace(controller, finder=replace(finder, chosen=ProposalFilter(min_score=1.0)))
    with pytest.raises(DatasetError, match="No food was found"):
        blind.change(begun, "find", 0)


def test_every_click_lands_on_the_photo(controller: PageController) -> None:
    """Its last row and column included."""
    begun = controller.take_sample(1)
    assert controller.click(begun, "box", 0.0, 0.0).corner == (0, 0)
    assert controller.click(begun, "box", 1.0, 1.0).corner == (WIDTH - 1, HEIGHT - 1)


def test_a_box_by_numbers_is_the_box_by_clicks(controller: PageController) -> None:
    """In percent of the photo."""
    typed = controller.type_box(controller.take_sample(1), (100 * 28 / WIDTH, 15.0, 100 * 52.5 / WIDTH, 66.0))
    assert said(typed) == said(controller.take_sample(0))


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ((1.0, 2.0, None, 4.0), "all four numbers"),
        ((1.0, 2.0, float("nan"), 4.0), "all four numbers"),
        ((180.0, 2.0, 3.0, 4.0), "left is 180; the photo goes from 0 to 100 percent"),
        ((1.0, 2.0, 3.0, -4.0), "bottom is -4"),
        ((50.0, 2.0, 50.0, 90.0), "no inside"),
    ],
)
def test_a_box_that_cannot_be_is_told(controller: PageController, edges: tuple[float | None, ...], reason: str) -> None:
    """A number that is missing or outside the photo, or a line."""
    with pytest.raises(DatasetError, match=reason):
        controller.type_box(controller.take_sample(1), edges)


def test_grabcut_is_asked_for_boxes_alone(controller: PageController) -> None:
    """A click that somebody sends all the same is refused."""
    assert controller.ways == ("box",)
    with pytest.raises(DatasetError, match="box"):
        controller.click(controller.take_sample(1), "click", 0.5, 0.5)


def test_an_upload_is_the_photo(tmp_path: Path) -> None:
    """Pixel by pixel."""
    meal = write_meal(tmp_path)
    np.testing.assert_array_equal(load_upload(meal.photo.read_bytes()).photo, read_photo(meal.photo))
    assert read_label_map(meal.label_map).shape == (HEIGHT, WIDTH)
