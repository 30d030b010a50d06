"""What a visitor marks, and what follows from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError, EmptyMaskError, PhotoError
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.prediction.run import Run, open_run
from pipeline.segmentation.grabcut import GrabCut
from pipeline.serving import sitting as module
from pipeline.serving import words
from pipeline.serving.sitting import box_between, corner_or_box, draw, judge, mark, paint, sit_down, start
from tests.judged_run import write_small_run
from tests.meal import RED, Meal, write_meal
from tests.raw_folder import noise, save


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Return a run with one view and one with both."""
    folder = tmp_path_factory.mktemp("runs")
    branches = {"alone": ("roi",), "both": ("roi", "extra_roi")}
    alone, both = (open_run(write_small_run(folder / name, seen), device="cpu") for name, seen in branches.items())
    return alone, both


@pytest.fixture
def meal(tmp_path: Path) -> Meal:
    """Return files of a photo with two foods."""
    return write_meal(tmp_path)


@pytest.mark.parametrize(("height", "width"), [(40, 60), (3000, 200), (700, 2100), (1, 1)])
def test_every_pixel_shown_lies_on_the_photo(height: int, width: int) -> None:
    """Corners go to corners, however much smaller the page shows the photo."""
    begun = start(np.zeros((height, width, 3), np.uint8))
    rows, columns = begun.shown.shape[:2]
    assert max(rows, columns) <= module.SHOWN
    assert begun.at(0.0, 0.0) == (0, 0)
    x, y = begun.at(columns - 1e-9, rows - 1e-9)
    assert width - 1 - begun.scale <= x <= width - 1
    assert height - 1 - 2 * begun.scale <= y <= height - 1
    assert begun.at(columns + 9.0, -9.0) == (width - 1, 0)


def test_two_clicks_make_a_box_in_any_order(meal: Meal) -> None:
    """The first waits, and forgets the food that was marked before."""
    begun = mark(start(read_photo(meal.photo)), box_between((28, 6), (52, 26)), GrabCut())
    waiting, none = corner_or_box(begun, 52, 6)
    assert (waiting.corner, waiting.region, none) == ((52, 6), None, None)
    done, prompt = corner_or_box(waiting, 28, 26)
    assert (done.corner, prompt) == (None, Prompt("box", (28.0, 6.0, 52.0, 26.0)))


def test_a_box_finds_its_food(meal: Meal) -> None:
    """By the source that the page was given."""
    marked = mark(start(read_photo(meal.photo)), box_between((28, 6), (52, 26)), GrabCut())
    assert marked.region is not None
    np.testing.assert_array_equal(marked.region.mask, read_label_map(meal.label_map) == 1)
    assert words.found(marked).startswith("Mask by GrabCut")


def test_a_line_is_no_box(meal: Meal) -> None:
    """Two clicks on the same row, or twice on one pixel."""
    for corners in (((1, 1), (30, 1)), ((5, 5), (5, 5))):
        with pytest.raises(DatasetError, match="no inside"):
            mark(start(read_photo(meal.photo)), box_between(*corners), GrabCut())


def test_paint_is_taken_at_the_size_of_the_photo(meal: Meal) -> None:
    """The page paints on a smaller or larger copy; nothing painted is no food."""
    begun = start(read_photo(meal.photo))
    labels = read_label_map(meal.label_map) == 1
    for factor in (1, 3):
        painted = paint(begun, labels.repeat(factor, axis=0).repeat(factor, axis=1))
        assert painted.region is not None
        np.testing.assert_array_equal(painted.region.mask, labels)
    with pytest.raises(EmptyMaskError, match="Nothing is painted"):
        paint(begun, np.zeros((8, 8), bool))


def test_every_run_judges_the_food(meal: Meal, runs: tuple[Run, Run]) -> None:
    """Each as it would anywhere else; before a food is marked there is nothing to judge."""
    begun = start(read_photo(meal.photo))
    with pytest.raises(DatasetError, match="Mark a food first"):
        judge(begun, runs)
    mask = read_label_map(meal.label_map) == 1
    judged = judge(paint(begun, mask), runs)
    for verdict, run in zip(judged.verdicts, runs, strict=True):
        (expected,) = run.predict(begun.photo, [mask])
        np.testing.assert_array_equal(verdict.prediction.logits, expected.logits)
    alone, both = (verdict.prediction.top(1)[0].category for verdict in judged.verdicts)
    said = words.difference(judged)
    assert said.startswith("**Both agree" if alone == both else "**The second view changes the answer")
    assert f"{alone} (" in said
    assert f"{both} (" in said
    assert words.difference(judge(judged, runs[:1])) == ""


def test_names_of_foods_are_text_on_the_page(meal: Meal, runs: tuple[Run, Run]) -> None:
    """Whatever a run calls them: the sentence is Markdown, and shows them as they are."""
    evil = tuple(f"<img src=x onerror=evil()> *{number}* $^$ [a](b)" for number in range(len(runs[0].card.class_names)))
    renamed = [replace(run, card=run.card.model_copy(update={"class_names": evil})) for run in runs]
    said = words.difference(judge(paint(start(read_photo(meal.photo)), read_label_map(meal.label_map) == 1), renamed))
    (paragraph,) = (token for token in MarkdownIt("commonmark").parse(said) if token.type == "inline")
    children = paragraph.children or []
    assert {child.type for child in children} <= {"text", "text_special", "strong_open", "strong_close"}
    assert any(name in "".join(child.content for child in children) for name in evil)


def test_the_picture_shows_what_is_marked(meal: Meal) -> None:
    """A tint where the food is, a frame around its box, a cross at a waiting corner; nothing else changes."""
    begun = start(read_photo(meal.photo))
    np.testing.assert_array_equal(draw(begun), begun.shown)
    box = box_between((28, 6), (52, 26))
    changed = (draw(mark(begun, box, GrabCut()), box) != begun.shown).any(axis=2)
    x0, y0, x1, y1 = RED
    assert changed[y0 : y1 + 1, x0 : x1 + 1].all()
    assert not changed[:, :20].any()
    waiting, _ = corner_or_box(begun, 20, 20)
    crossed = (draw(waiting) != begun.shown).any(axis=2)
    assert crossed[20, 12] and crossed[12, 20] and not crossed[12, 12]  # noqa: PT018


def test_uploads_are_decoded_as_everywhere_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upright; what is no picture, or too large, is refused without its temporary path."""
    photo = Image.fromarray(noise(10, 20, 0))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=exif)
    assert sit_down(tmp_path / "turned.jpg").photo.shape == (20, 10, 3)
    (tmp_path / "page.jpg").write_bytes(b"<html>")
    with pytest.raises(PhotoError, match="^This file cannot be used: a web page"):
        sit_down(tmp_path / "page.jpg")
    monkeypatch.setattr(module, "MOST_PIXELS", 199)
    save(noise(10, 20, 0), tmp_path / "large.png")
    with pytest.raises(PhotoError, match="20 x 10 pixels"):
        sit_down(tmp_path / "large.png")
