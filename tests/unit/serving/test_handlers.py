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
from pipeline.serving.session import MarkedPhoto
from tests.judged_run import write_small_run
from tests.meal import HEIGHT, WIDTH, write_meal

RED_BOX = Prompt("box", (28.0, 6.0, 52.0, 26.0))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> PageController:
    """Return a desk with a run of one view, one of both, and two samples, one of them with a box."""
    folder = tmp_path_factory.mktemp("desk")
    runs = [write_small_run(folder / "alone", ("roi",)), write_small_run(folder / "both", ("roi", "extra_roi"))]
    photo = read_photo(write_meal(folder).photo)
    samples = SamplePhoto("red", photo, RED_BOX), SamplePhoto("own", photo, None)
    return PageController(tuple(open_run(run, device="cpu") for run in runs), GrabCut(), samples)


def said(sitting: MarkedPhoto) -> list[list[float]]:
    """Return the logits of every run."""
    return [verdict.prediction.logits.tolist() for verdict in sitting.verdicts]


def test_a_sample_with_a_box_is_answered_at_once(desk: PageController) -> None:
    """One without waits for the visitor; others do not exist."""
    assert len(desk.take_sample(0).verdicts) == 2
    assert desk.take_sample(1).verdicts == ()
    for number in (-1, 2):
        with pytest.raises(DatasetError, match="There are 2 samples"):
            desk.take_sample(number)


def test_two_clicks_answer(desk: PageController) -> None:
    """The first hides the old answer; places are shares of the photo."""
    begun = desk.take_sample(0)
    first = desk.click(begun, "box", 28.5 / WIDTH, 6.5 / HEIGHT)
    assert (first.corner, first.verdicts) == ((28, 6), ())
    second = desk.click(first, "box", 52.5 / WIDTH, 26.5 / HEIGHT)
    assert second.prompt == RED_BOX
    assert said(second) == said(begun)


def test_every_click_lands_on_the_photo(desk: PageController) -> None:
    """Its last row and column included."""
    begun = desk.take_sample(1)
    assert desk.click(begun, "box", 0.0, 0.0).corner == (0, 0)
    assert desk.click(begun, "box", 1.0, 1.0).corner == (WIDTH - 1, HEIGHT - 1)


def test_a_box_by_numbers_is_the_box_by_clicks(desk: PageController) -> None:
    """In percent of the photo."""
    typed = desk.type_box(desk.take_sample(1), (100 * 28 / WIDTH, 15.0, 100 * 52.5 / WIDTH, 66.0))
    assert said(typed) == said(desk.take_sample(0))


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
def test_a_box_that_cannot_be_is_told(desk: PageController, edges: tuple[float | None, ...], reason: str) -> None:
    """A number that is missing or outside the photo, or a line."""
    with pytest.raises(DatasetError, match=reason):
        desk.type_box(desk.take_sample(1), edges)


def test_grabcut_is_asked_for_boxes_alone(desk: PageController) -> None:
    """A click that somebody sends all the same is refused."""
    assert desk.ways == ("box",)
    with pytest.raises(DatasetError, match="box"):
        desk.click(desk.take_sample(1), "click", 0.5, 0.5)


def test_an_upload_is_the_photo(desk: PageController, tmp_path: Path) -> None:
    """Pixel by pixel, whatever was there before."""
    meal = write_meal(tmp_path)
    np.testing.assert_array_equal(desk.arrive(meal.photo.read_bytes()).photo, read_photo(meal.photo))
    assert read_label_map(meal.label_map).shape == (HEIGHT, WIDTH)
