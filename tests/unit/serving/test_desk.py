"""The page without a browser: what each action changes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="gradio is not installed: the page is optional")

from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError, PhotoError
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.prediction.run import open_run
from pipeline.segmentation.grabcut import GrabCut
from pipeline.serving import page as page_module
from pipeline.serving.desk import BOX, Desk, Widgets, leave, painted
from pipeline.serving.page import build_page, told
from pipeline.serving.samples import SamplePhoto
from tests.judged_run import CATEGORIES, write_small_run
from tests.meal import HEIGHT, WIDTH, Meal, write_meal

NAMES = Widgets(**{name: name for name in Widgets._fields} | {"answers": ("alone", "both"), "heat": ("a", "b", "c")})
"""Widgets stand in by their names."""


@pytest.fixture
def meal(tmp_path: Path) -> Meal:
    """Return files of a photo with two foods."""
    return write_meal(tmp_path)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Return a desk with a run of one view, one of both, and a sample with a box."""
    folder = tmp_path_factory.mktemp("desk")
    runs = [write_small_run(folder / "alone", ("roi",)), write_small_run(folder / "both", ("roi", "extra_roi"))]
    photo = read_photo(write_meal(folder).photo)
    samples = SamplePhoto("red", photo, Prompt("box", (28.0, 6.0, 52.0, 26.0))), SamplePhoto("own", photo, None)
    return Desk(tuple(open_run(run, device="cpu") for run in runs), GrabCut(), samples)


def visible(updates: dict[Any, Any]) -> dict[str, bool]:
    """Return what appears and disappears."""
    return {name: value["visible"] for name, value in updates.items() if isinstance(value, dict) and "visible" in value}


def test_an_upload_is_gone_once_it_is_read(desk: Desk, meal: Meal) -> None:
    """Whether it could be used or not."""
    shown = desk.arrive(NAMES, str(meal.photo), BOX)
    assert shown["photo"].shape == (HEIGHT, WIDTH, 3)
    assert not meal.photo.exists()
    bad = meal.photo.with_name("bad.jpg")
    bad.write_bytes(b"<html>")
    with pytest.raises(PhotoError):
        desk.arrive(NAMES, str(bad), BOX)
    assert not bad.exists()


def test_a_sample_with_a_box_is_answered_at_once(desk: Desk) -> None:
    """One without waits for the visitor."""
    answered = desk.take_sample(NAMES, 0, BOX)
    assert visible(answered) == {"results": True, "guide": False, "looked": False}
    assert set(answered["alone"]) == set(answered["both"]) == set(CATEGORIES)
    assert sum(answered["both"].values()) == pytest.approx(1)
    assert visible(desk.take_sample(NAMES, 1, BOX)) == {"results": False, "guide": True, "looked": False}


def test_two_clicks_answer(desk: Desk) -> None:
    """The first hides the old answer and says what to do."""
    begun = desk.take_sample(NAMES, 0, BOX)["sitting"]
    first = desk.click(NAMES, begun, BOX, (28.0, 6.0))
    assert "opposite corner" in first["hint"]
    assert visible(first) == {"results": False, "guide": True, "looked": False}
    second = desk.click(NAMES, first["sitting"], BOX, (52.0, 26.0))
    assert visible(second)["results"]
    assert second["alone"] == desk.take_sample(NAMES, 0, BOX)["alone"]


def test_a_box_by_numbers_is_the_box_by_clicks(desk: Desk) -> None:
    """Percent of the photo; a missing number is asked for."""
    begun = desk.take_sample(NAMES, 1, BOX)["sitting"]
    typed = desk.type_box(NAMES, begun, (100 * 28 / WIDTH, 15.0, 100 * 52.5 / WIDTH, 66.0), BOX)
    assert typed["alone"] == desk.take_sample(NAMES, 0, BOX)["alone"]
    with pytest.raises(DatasetError, match="all four numbers"):
        desk.type_box(NAMES, begun, (1.0, 2.0, None, 4.0), BOX)


def test_what_was_painted_is_judged(desk: Desk, meal: Meal) -> None:
    """All layers together, where they are not transparent."""
    labels = read_label_map(meal.label_map)
    layers = [np.zeros((HEIGHT, WIDTH, 4), np.uint8) for _ in range(2)]
    layers[0][labels == 1, 3], layers[1][labels == 2, 3] = 99, 255
    np.testing.assert_array_equal(painted({"layers": layers}), labels > 0)
    begun = desk.take_sample(NAMES, 1, BOX)["sitting"]
    judged = desk.paint(NAMES, begun, {"layers": layers[:1]})
    assert judged["how"].startswith("Mask painted by you")
    assert judged["sitting"].region.mask.sum() == (labels == 1).sum()
    for empty in (None, {"layers": []}, {"layers": [np.zeros_like(layers[0])]}):
        with pytest.raises(DatasetError, match="Nothing is painted"):
            desk.paint(NAMES, begun, empty)


def test_heat_has_a_picture_for_every_branch(desk: Desk) -> None:
    """Three for a run of one view and one of two."""
    looked = desk.explain(NAMES, desk.take_sample(NAMES, 0, BOX)["sitting"])
    assert visible(looked) == {"looked": True}
    assert all(looked[name].shape == (320, 320, 3) for name in "abc")
    assert looked["warmth"].count("ROI") == 3


@pytest.mark.parametrize("action", ["click", "type_box", "paint", "explain"])
def test_nothing_can_be_done_without_a_photo(desk: Desk, action: str) -> None:
    """Nor does it fail with a trace."""
    more = {"click": (BOX, (1.0, 1.0)), "type_box": ((1.0, 2.0, 3.0, 4.0), BOX), "paint": (None,), "explain": ()}
    with pytest.raises(DatasetError, match="Choose a photo first"):
        getattr(desk, action)(NAMES, None, *more[action])


def test_refusals_are_told_and_leave_the_page_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it has to be cleared."""
    warnings: list[str] = []
    monkeypatch.setattr(page_module.gr, "Warning", lambda message, title: warnings.append(f"{title}: {message}"))

    def refuse() -> dict[Any, Any]:
        raise DatasetError("no such thing")

    assert told(NAMES, refuse) == {"hint": "**Not possible:** no such thing"}
    cleared = told(NAMES, refuse, otherwise=leave(NAMES))
    assert (cleared["sitting"], cleared["photo"], cleared["hint"]) == (None, None, "**Not possible:** no such thing")
    assert warnings == ["Not possible: no such thing"] * 2


def test_building_the_page_writes_nothing_beside_the_code(desk: Desk, root: Path) -> None:
    """Gradio writes stubs for components that somebody derives."""
    build_page(desk)
    assert list((root / "pipeline").rglob("*.pyi")) == []


def test_gradio_is_contained_before_it_is_imported(root: Path) -> None:
    """No analytics, no history, no hub, and files in a folder of the page's own."""
    code = (
        "import os; from pipeline.serving.contained_gradio import FOLDER, gradio; "
        "assert not gradio.analytics.analytics_enabled(); "
        "assert gradio.utils.get_upload_folder() == str(FOLDER); print(FOLDER); FOLDER.rmdir()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")
