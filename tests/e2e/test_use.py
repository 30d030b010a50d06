"""What a user does with the runs of the demo: photos on the command line, a page in a real browser, other programs."""

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pipeline.datasets.index import read_samples
from pipeline.evaluation.predictions import read_predictions
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.inference.predictor import open_run
from tests.browser import browser
from tests.e2e.checkout import Checkout

pytestmark = pytest.mark.e2e
RUN = "mobilenetv2+vit-all"
PATIENCE = 120_000
"""Milliseconds that a browser waits on a busy machine."""


def test_photos_with_their_annotation_get_the_logits_that_evaluate_wrote(study: Checkout) -> None:
    """Sample by sample, up to the rounding of another batch size: same views, same weights, same code."""
    data = study.folder / "data"
    run = open_run(data / "runs" / RUN, device="cpu")
    table = read_predictions(data / "evaluations" / RUN / "predictions.parquet")
    samples = [sample for sample in read_samples(data / "index/samples.parquet") if sample.split == "test"]
    assert tuple(sample.sample_id for sample in samples) == table.sample_ids
    for row, sample in enumerate(samples):
        label_map = read_label_map(data / "raw" / str(sample.label_map_path))
        (answer,) = run.predict(read_photo(data / "raw" / sample.photo_path), [label_map == sample.mask_value])
        np.testing.assert_allclose(answer.logits, table.logits[row], rtol=0, atol=1e-4)
        assert answer.logits.argmax() == table.predictions[row]


def test_the_command_line_answers_for_a_folder(study: Checkout) -> None:
    """Every food of every test photo, from photos and label maps alone; as many as the index has."""
    images = study.folder / "data/raw/Images"
    photos, masks = images / "img_dir/test", images / "ann_dir/test"
    command = ["predict", str(photos), "--mask", str(masks), "--all", "--run", f"data/runs/{RUN}", "--format", "json"]
    records = json.loads(study.run(sys.executable, "-m", "pipeline", *command).stdout)
    samples = [sample for sample in read_samples(study.folder / "data/index/samples.parquet") if sample.split == "test"]
    expected = Counter(Path(sample.photo_path).name for sample in samples)
    assert {Path(record["photo"]).name: len(record["foods"]) for record in records} == expected
    assert all(record["error"] is None for record in records)


def test_the_exported_tree_has_the_counts_of_the_index(study: Checkout, tmp_path: Path) -> None:
    """By split and category, in both views."""
    study.call(sys.executable, "-m", "pipeline", "export", "--format", "folders", "--out", str(tmp_path))
    samples = read_samples(study.folder / "data/index/samples.parquet")
    expected = Counter((sample.split, sample.category) for sample in samples)
    for view in ("roi", "extra-roi"):
        found = Counter((path.parts[-4], path.parts[-2]) for path in tmp_path.glob(f"*/{view}/*/*.jpg"))
        assert found == expected


class Page(NamedTuple):
    """A page that is being served."""

    address: str
    browser: Any
    temporary: Path
    """Where the server keeps its files."""

    def opened(self, width: int, height: int) -> tuple[Any, list[str]]:
        """Open it in a window; return the tab, and a list that fills with requests to anybody else."""
        tab = self.browser.new_page(viewport={"width": width, "height": height})
        elsewhere: list[str] = []
        own = (self.address, "data:", "blob:")
        tab.on("request", lambda request: None if request.url.startswith(own) else elsewhere.append(request.url))
        tab.set_default_timeout(PATIENCE)
        tab.goto(self.address)
        tab.locator("#samples button").nth(2).wait_for()
        return tab, elsewhere


@pytest.fixture(scope="module")
def page(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Serve a run of the study from an empty folder, and start a browser; stop both at the end."""
    empty, temporary = tmp_path_factory.mktemp("empty"), tmp_path_factory.mktemp("temporary")
    options = ["--run", str(study.folder / "data/runs" / RUN), "--port", "0", "--no-browser"]
    command = [sys.executable, "-m", "pipeline", "serve", *options]
    env = study.env | {"PYTHONPATH": str(study.folder), "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, cwd=empty, env=env, stderr=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert server.stderr is not None
        address = re.search(r"http://\S+", server.stderr.readline())
        assert address is not None
        with browser() as started:
            yield Page(address.group(), started, temporary)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    assert list(temporary.iterdir()) == []
    assert list(empty.iterdir()) == []


def bring(tab: Any, file: Path) -> None:
    """Upload a file as a visitor would."""
    tab.locator("#photo input[type=file]").first.set_input_files(str(file))


def click_at(tab: Any, x: float, y: float) -> None:
    """Click a place of the photo, given in shares of its width and height."""
    photo = tab.locator("#photo img").first
    photo.wait_for()  # a picture of which nothing has come yet has no width to take a share of
    photo.scroll_into_view_if_needed()
    box = photo.bounding_box()
    photo.click(position={"x": x * box["width"], "y": y * box["height"]})


def told(tab: Any, words: str, where: str = "#hint") -> None:
    """Wait until the page says something, below the photo or elsewhere; fail with what it says instead."""
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(tab.locator(where)).to_contain_text(words, timeout=PATIENCE)


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_a_sample_is_answered_and_explained_in_the_browser(page: Page, width: int, height: int) -> None:
    """One click on a sample: both answers, what differs, and where the branches looked; nothing reaches beyond."""
    tab, elsewhere = page.opened(width, height)
    tab.locator("#samples button").first.click()
    tab.locator("#answer-1").wait_for()
    assert "By the food alone" in tab.locator("#answer-0").inner_text()
    assert "By food and surroundings" in tab.locator("#answer-1").inner_text()
    assert "knows drawings only" in tab.locator("#answer-1").inner_text()
    told(tab, "by food and surroundings", "#difference")
    tab.locator("#explain").click()
    tab.locator("#heat img").nth(2).wait_for()
    assert "Of the heat, on the food" in tab.locator("#warmth").inner_text()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert elsewhere == []
    tab.close()


def test_an_upload_is_marked_by_clicks_numbers_drag_and_paint(page: Page, study: Checkout) -> None:
    """All ways on one photo, each with an answer; the keyboard alone is enough for the numbers."""
    tab, _ = page.opened(1280, 900)
    bring(tab, next((study.folder / "data/raw/Images/img_dir/test").glob("*.jpg")))
    told(tab, "Drag a box around the food")
    click_at(tab, 0.3, 0.3)
    click_at(tab, 0.7, 0.7)  # at once: a click that comes while the one before is answered counts too
    told(tab, "Another food?")
    told(tab, "GrabCut", "#how")
    before = tab.locator("#how").inner_text()
    tab.get_by_role("button", name="Box by numbers").focus()
    tab.keyboard.press("Enter")
    tab.get_by_label("left").fill("10")
    tab.locator("#take-box").focus()
    tab.keyboard.press("Enter")
    tab.locator("#how").filter(has_not_text=before).wait_for()
    before = tab.locator("#how").inner_text()
    photo = tab.locator("#photo img").first.bounding_box()
    tab.mouse.move(photo["x"] + 0.4 * photo["width"], photo["y"] + 0.4 * photo["height"])
    tab.mouse.down()
    tab.mouse.move(photo["x"] + 1.2 * photo["width"], photo["y"] + 1.2 * photo["height"], steps=5)
    tab.mouse.up()  # over the border, where the box is cut
    tab.locator("#how").filter(has_not_text=before).wait_for()
    tab.get_by_role("tab", name="Paint").click()
    canvas = tab.locator("#canvas canvas").first
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 40, y + 20, steps=8)
    tab.mouse.up()
    tab.locator("#take-painting").click()
    told(tab, "painted by you", "#how")
    tab.close()


def test_mistakes_are_told_and_the_page_goes_on(page: Page, tmp_path: Path) -> None:
    """A file that is no photo, a box without inside; then a sample works."""
    tab, _ = page.opened(1280, 900)
    (tmp_path / "page.jpg").write_bytes(b"<html>not a photo")
    bring(tab, tmp_path / "page.jpg")
    told(tab, "a web page or other markup instead of a picture")
    assert "/" not in tab.locator("#hint").inner_text()
    tab.locator("#samples button").first.click()
    tab.locator("#answer-0").wait_for()
    click_at(tab, 0.5, 0.5)
    told(tab, "Now click the opposite corner")
    click_at(tab, 0.5, 0.5)
    told(tab, "This box has no inside")
    tab.get_by_role("button", name="Box by numbers").click()
    tab.get_by_label("left").fill("180")
    tab.locator("#take-box").click()
    told(tab, "left is 180; the photo goes from 0 to 100 percent")
    tab.get_by_label("left").fill("")
    tab.locator("#take-box").click()
    told(tab, "Give all four numbers")
    bring(tab, tmp_path / "page.jpg")
    told(tab, "a web page or other markup instead of a picture")
    assert tab.locator("#photo img").is_visible()  # the photo before stays
    tab.locator("#samples button").nth(1).click()
    tab.locator("#answer-0").wait_for()
    tab.locator("#about summary").click()
    tab.locator("#find-food").fill(" KETCH")
    assert tab.locator("#known li:visible").all_inner_texts() == ["ketchup"]
    tab.close()


def test_a_click_on_a_photo_that_is_still_loading_counts(page: Page, study: Checkout) -> None:
    """The first corner shows the photo anew, where it was; the opposite one need not wait until that has come."""
    tab, _ = page.opened(1280, 900)
    bring(tab, next((study.folder / "data/raw/Images/img_dir/test").glob("*.jpg")))
    told(tab, "Drag a box around the food")
    loaded = "() => document.querySelector('#photo img').complete"
    tab.wait_for_function(loaded)
    before = tab.locator("#photo img").bounding_box()
    held: list[Any] = []
    tab.route("**/image.webp", lambda picture: held.append(picture))  # noqa: PLW0108 - its arguments are counted
    click_at(tab, 0.3, 0.3)
    told(tab, "Now click the opposite corner")
    assert tab.locator("#photo img").bounding_box() == before
    click_at(tab, 0.7, 0.7)
    assert not tab.evaluate(loaded)
    tab.route("**/image.webp", lambda picture: picture.continue_())
    for picture in held:
        picture.continue_()
    told(tab, "Another food?")
    tab.close()


def test_uploads_are_not_kept(page: Page, study: Checkout) -> None:
    """The server has nothing on disk after an upload."""
    photo = sorted((study.folder / "data/raw/Images/img_dir/test").glob("*.jpg"))[1]
    tab, _ = page.opened(1280, 900)
    bring(tab, photo)
    told(tab, "Drag a box around the food")
    assert list(page.temporary.iterdir()) == []
    tab.close()
