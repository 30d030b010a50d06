"""What a visitor marks, and what follows from it."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.prompts import Prompt
from pipeline.evaluation.rejection import Rejection
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.inference.pictures import LabelledMask
from pipeline.inference.predictor import Run, open_run
from pipeline.inference.regions import box_between
from pipeline.runtime.errors import DatasetError, EmptyMaskError, PhotoError
from pipeline.segmentation.grabcut import GrabCut
from pipeline.serving import captions
from pipeline.serving import session as module
from pipeline.serving.page import state, static_files
from pipeline.serving.session import (
    Session,
    choose,
    corner_or_box,
    draw,
    explain,
    load_upload,
    mark,
    paint,
    predict,
    start,
)
from tests.meal import RED, Meal, write_meal
from tests.raw_folder import noise
from tests.served_page import encoded, png
from tests.small_run import write_small_run


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
    assert max(rows, columns) <= module.SHOWN_SIDE
    assert begun.at(0.0, 0.0) == (0, 0)
    x, y = begun.at(columns - 1e-9, rows - 1e-9)
    assert width - 1 - begun.scale <= x <= width - 1
    assert height - 1 - 2 * begun.scale <= y <= height - 1
    assert begun.at(columns + 9.0, -9.0) == (width - 1, 0)


def test_two_clicks_make_a_box_in_any_order(meal: Meal) -> None:
    """The first waits; foods that were marked before stay."""
    begun = mark(start(read_photo(meal.photo)), box_between((28, 6), (52, 26)), GrabCut())
    waiting, none = corner_or_box(begun, 52, 6)
    assert (waiting.corner, waiting.foods, none) == ((52, 6), begun.foods, None)
    done, prompt = corner_or_box(waiting, 28, 26)
    assert (done.corner, prompt) == (None, Prompt("box", (28.0, 6.0, 52.0, 26.0)))


def test_a_box_finds_its_food(meal: Meal) -> None:
    """By the source that the page was given."""
    marked = mark(start(read_photo(meal.photo)), box_between((28, 6), (52, 26)), GrabCut())
    assert marked.food is not None
    np.testing.assert_array_equal(marked.food.region.mask, read_label_map(meal.label_map) == 1)
    assert captions.region_found(marked).startswith("Mask by GrabCut")


def test_a_line_is_no_box() -> None:
    """Two clicks on the same row, or twice on one pixel."""
    for corners in (((1, 1), (30, 1)), ((5, 5), (5, 5))):
        with pytest.raises(DatasetError, match="no inside"):
            box_between(*corners)


def painting(mask: np.ndarray) -> bytes:
    """Return what the browser sends of a painting: opaque, white on black."""
    return encoded(Image.fromarray(mask.astype(np.uint8) * 255).convert("RGBA"), "PNG")


def test_paint_is_taken_at_the_size_of_the_photo(meal: Meal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page paints on a smaller copy; nothing painted is no food, another size no painting."""
    photo, labels = read_photo(meal.photo), read_label_map(meal.label_map) == 1
    painted = paint(start(photo), painting(labels))
    assert painted.food is not None
    np.testing.assert_array_equal(painted.food.region.mask, labels)
    monkeypatch.setattr(module, "SHOWN_SIDE", photo.shape[1] // 2)
    smaller = paint(start(photo), painting(labels[::2, ::2]))
    assert smaller.food is not None
    np.testing.assert_array_equal(smaller.food.region.mask, labels[::2, ::2].repeat(2, axis=0).repeat(2, axis=1))
    with pytest.raises(EmptyMaskError, match="Nothing is painted"):
        paint(start(photo), painting(np.zeros_like(labels[::2, ::2])))
    for other in (painting(labels), b"", png(20, 30)[:20], encoded(Image.new("L", (30, 20), 255), "BMP")):
        with pytest.raises(PhotoError, match="^The painting cannot be used: "):
            paint(start(photo), other)


def test_a_soft_edge_of_the_brush_counts_from_half(meal: Meal) -> None:
    """Gray levels between black and white come from the browser's smooth lines."""
    begun = start(read_photo(meal.photo))
    levels = np.zeros(begun.shown.shape[:2], np.uint8)
    levels[10:20, 10:20], levels[9, 10:20] = 128, 127
    marked = paint(begun, encoded(Image.fromarray(levels), "PNG"))
    assert marked.food is not None
    np.testing.assert_array_equal(marked.food.region.mask, levels == 128)


def test_a_food_that_the_models_cannot_see_is_not_answered(
    runs: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few pixels of a large photo vanish when it shrinks: the cut-out would be black."""
    monkeypatch.setattr(module, "MIN_VISIBLE_SHARE", 15 / 32**2)
    begun = start(noise(900, 1000, 0))
    dot = np.zeros((900, 1000), bool)
    dot[100, 100] = True
    with pytest.raises(EmptyMaskError, match="too small"):
        predict(paint(begun, painting(dot)), runs)


def test_a_painted_dot_is_judged_with_a_word(meal: Meal) -> None:
    """A run sees next to nothing of it."""
    dot = np.zeros((40, 60), np.bool_)
    dot[3, 4] = True
    marked = paint(start(read_photo(meal.photo)), painting(dot))
    assert (
        captions.region_found(marked)
        == "Mask painted by you, 0.0 % of the photo, of 1 pixel only: a run sees next to nothing."
    )


def test_every_run_judges_the_food(meal: Meal, runs: tuple[Run, Run]) -> None:
    """Each as it would anywhere else; before a food is marked there is nothing to judge."""
    begun = start(read_photo(meal.photo))
    with pytest.raises(DatasetError, match="Mark a food first"):
        predict(begun, runs)
    mask = read_label_map(meal.label_map) == 1
    judged = predict(paint(begun, painting(mask)), runs)
    assert judged.food is not None
    for answer, run in zip(judged.food.answers, runs, strict=True):
        (expected,) = run.predict(begun.photo, [mask])
        np.testing.assert_array_equal(answer.prediction.logits, expected.logits)
    alone, both = (answer.prediction.top(1)[0].category for answer in judged.food.answers)
    said = captions.difference(judged)
    assert said.startswith("Both agree" if alone == both else "The second view changes the answer")
    assert f"{alone} (" in said
    assert f"{both} (" in said
    assert captions.difference(predict(paint(begun, painting(mask)), runs[:1])) == ""


@pytest.mark.parametrize(("threshold", "known"), [(0.0, True), (1.0, False), (None, None)])
def test_a_guess_below_the_threshold_has_no_percentage(
    meal: Meal, runs: tuple[Run, Run], threshold: float | None, known: bool | None
) -> None:
    """Nowhere on the page: neither beside its name nor in the sentence that compares the runs."""
    rejection = Rejection(asked=0.8, threshold=threshold, precision=0.8, coverage=0.5, samples=100)
    careful = [replace(run, rejection=rejection) for run in runs]
    judged = predict(paint(start(read_photo(meal.photo)), painting(read_label_map(meal.label_map) == 1)), careful)
    assert judged.food is not None
    assert [answer.known for answer in judged.food.answers] == [known, known]
    shown = state("name", Session(judged, {}, 0, 0.0))
    numbers = [guess["probability"] for guesses in shown["answers"] for guess in guesses]
    assert (numbers == [None] * len(numbers)) == (known is False)
    assert ("%" in shown["difference"]) == (known is not False)
    assert shown["verdicts"] == (["Not a known food; nearest:"] * 2 if known is False else ["", ""])


def test_names_of_foods_are_text_on_the_page(meal: Meal, runs: tuple[Run, Run]) -> None:
    """Whatever a run calls them: sentences hold them as they are, and the page sets text alone, never markup."""
    evil = tuple(f"<img src=x onerror=evil()> *{number}* $^$ [a](b)" for number in range(len(runs[0].card.class_names)))
    renamed = [replace(run, card=run.card.model_copy(update={"class_names": evil})) for run in runs]
    mask = painting(read_label_map(meal.label_map) == 1)
    said = captions.difference(predict(paint(start(read_photo(meal.photo)), mask), renamed))
    assert any(name in said for name in evil)
    script = static_files()["page.js"].decode()
    for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval", "srcdoc"):
        assert markup not in script


def test_the_picture_shows_what_is_marked(meal: Meal) -> None:
    """A tint where the food is, a frame around its box, a cross at a waiting corner; nothing else changes."""
    begun = start(read_photo(meal.photo))
    np.testing.assert_array_equal(draw(begun, []), begun.shown)
    box = box_between((28, 6), (52, 26))
    marked = mark(begun, box, GrabCut())
    assert marked.food is not None
    label = LabelledMask(marked.food.region.mask, "ketchup", 0.5)
    changed = (draw(marked, [label]) != begun.shown).any(axis=2)
    x0, y0, x1, y1 = RED
    assert changed[y0 : y1 + 1, x0 : x1 + 1].all()
    assert not changed[:, :20].any()
    waiting, _ = corner_or_box(begun, 20, 20)
    crossed = (draw(waiting, []) != begun.shown).any(axis=2)
    assert crossed[20, 12] and crossed[12, 20] and not crossed[12, 12]  # noqa: PT018


def test_heat_has_a_picture_for_every_branch(meal: Meal, runs: tuple[Run, Run]) -> None:
    """Three for a run of one view and one of two, of the chosen food alone, which keeps them."""
    begun = start(read_photo(meal.photo))
    with pytest.raises(DatasetError, match="Mark a food first"):
        explain(begun)
    box = box_between((28, 6), (52, 26))
    explained = explain(predict(mark(begun, box, GrabCut()), runs))
    assert explained.food is not None
    assert [found.picture.shape for _, found in explained.food.heat] == [(320, 320, 3)] * 3
    assert captions.heat_shares(explained.food.heat).count(" branch: ") == 2
    two = predict(mark(explained, box, GrabCut()), runs)
    assert [len(food.heat) for food in two.foods] == [3, 0]
    assert [len(food.heat) for food in explain(choose(two, 1)).foods] == [3, 3]


def test_foods_are_bounded_by_their_masks(meal: Meal, monkeypatch: pytest.MonkeyPatch) -> None:
    """In number, and in bytes of a large photo; one line says what to do."""
    monkeypatch.setattr(module, "MAX_MASK_BYTES", 2 * 40 * 60)
    marked = begun = start(read_photo(meal.photo))
    for _ in range(2):
        marked = mark(marked, box_between((28, 6), (52, 26)), GrabCut())
    with pytest.raises(DatasetError, match="3 foods are too many for a photo of this size: at most 2; remove some"):
        mark(marked, box_between((28, 6), (52, 26)), GrabCut())
    assert Session(marked, {}, 0, 0.0).nbytes == Session(begun, {}, 0, 0.0).nbytes + 2 * 40 * 60


def test_uploads_are_decoded_as_everywhere_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upright; what is no picture, or too large, is refused in words for the visitor."""
    photo = Image.fromarray(noise(10, 20, 0))
    exif = photo.getexif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    photo.save(turned, "JPEG", exif=exif)
    assert load_upload(turned.getvalue()).photo.shape == (20, 10, 3)
    with pytest.raises(PhotoError, match="^This file cannot be used: a web page"):
        load_upload(b"<html>")
    with pytest.raises(PhotoError, match="^This file cannot be used: an empty file"):
        load_upload(b"")
    monkeypatch.setattr(module, "MAX_PIXELS", 199)
    with pytest.raises(PhotoError, match="^This file cannot be used: 20 x 10 is more than 199 pixels"):
        load_upload(png(10, 20))
