"""The page without a browser: what each action makes of a photo."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.prompts import Prompt
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.inference.predictor import open_run
from pipeline.runtime.errors import DatasetError
from pipeline.segmentation.grabcut import GrabCut
from pipeline.serving.handlers import PageController, SamplePhoto
from pipeline.serving.session import MarkedPhoto, load_upload
from tests.meal import HEIGHT, WIDTH, write_meal
from tests.small_run import write_small_run

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
    """Return the logits of every run."""
    return [answer.prediction.logits.tolist() for answer in marked.answers]


def test_a_sample_with_a_box_is_answered_at_once(controller: PageController) -> None:
    """One without waits for the visitor; others do not exist."""
    assert len(controller.take_sample(0).answers) == 2
    assert controller.take_sample(1).answers == ()
    for number in (-1, 2):
        with pytest.raises(DatasetError, match="There are 2 samples"):
            controller.take_sample(number)


def test_two_clicks_answer(controller: PageController) -> None:
    """The first hides the old answer; places are shares of the photo."""
    begun = controller.take_sample(0)
    first = controller.click(begun, "box", 28.5 / WIDTH, 6.5 / HEIGHT)
    assert (first.corner, first.answers) == ((28, 6), ())
    second = controller.click(first, "box", 52.5 / WIDTH, 26.5 / HEIGHT)
    assert second.prompt == RED_BOX
    assert said(second) == said(begun)


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
