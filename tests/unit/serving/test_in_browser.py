"""The page in a real browser: several foods, a finger, a whole plate, and axe-core on every state."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import uvicorn
from PIL import Image

from pipeline.imaging.decode import read_photo
from pipeline.inference.predictor import open_run
from pipeline.inference.regions import ProposedRegions
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.proposals import ProposalFilter
from pipeline.serving.app import make_app
from pipeline.serving.handlers import PageController, SamplePhoto
from tests.browser import browser, inaccessible
from tests.meal import GREEN, HEIGHT, RED, WIDTH, write_meal
from tests.small_run import write_small_run
from tests.unit.serving.test_handlers import Halves

pytestmark = pytest.mark.slow
SCALE = 10
PATIENCE = 60_000
"""Milliseconds that a browser waits on a busy machine."""


class Opened(NamedTuple):
    """A page that is served from this process, and a browser."""

    address: str
    browser: Any
    photo: Path
    label_map: Path

    def tab(self, width: int, **options: Any) -> Any:
        """Open the page in a window of a desktop or a phone."""
        tab = self.browser.new_page(viewport={"width": width, "height": 850}, bypass_csp=True, **options)
        tab.set_default_timeout(PATIENCE)
        tab.goto(self.address)
        tab.locator("#samples button").first.wait_for()
        return tab


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Serve two runs, with a source of proposals."""
    folder = tmp_path_factory.mktemp("page")
    runs = [write_small_run(folder / "alone", ("roi",)), write_small_run(folder / "both", ("roi", "extra_roi"))]
    meal = write_meal(folder)
    for file in meal:
        with Image.open(file) as picture:
            picture.resize((WIDTH * SCALE, HEIGHT * SCALE), Image.Resampling.NEAREST).save(file)
    controller = PageController(
        tuple(open_run(run, device="cpu") for run in runs),
        GrabCut(),
        (SamplePhoto("meal", read_photo(meal.photo), None),),
        ProposedRegions(Halves(), ProposalFilter(max_share=1.0)),
    )
    with socket.create_server(("127.0.0.1", 0)) as sock, browser() as started:
        server = uvicorn.Server(uvicorn.Config(make_app(controller, "127.0.0.1"), log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        yield Opened(f"http://127.0.0.1:{sock.getsockname()[1]}", started, *meal)
        server.should_exit = True
        thread.join()


def idle(tab: Any) -> None:
    """Wait until the page has answered."""
    tab.locator("main:not([aria-busy])").wait_for()


def names(tab: Any) -> list[str]:
    """Return the numbers of the foods in the table."""
    idle(tab)
    return list(tab.locator("#foods .swatch").all_inner_texts())


def place(tab: Any, x: int, y: int) -> tuple[float, float]:
    """Return where a pixel of the meal is in the window."""
    box = tab.locator("#photo img").bounding_box()
    return box["x"] + (x + 0.5) / WIDTH * box["width"], box["y"] + (y + 0.5) / HEIGHT * box["height"]


def drag(tab: Any, box: tuple[int, int, int, int]) -> None:
    """Drag a box on the photo with the mouse."""
    x0, y0, x1, y1 = box
    tab.locator("#photo img").scroll_into_view_if_needed()
    tab.mouse.move(*place(tab, x0 - 2, y0 - 2))
    tab.mouse.down()
    tab.mouse.move(*place(tab, x1 + 2, y1 + 2), steps=4)
    tab.mouse.up()
    idle(tab)


def test_foods_add_up_and_no_state_is_inaccessible(page: Opened) -> None:
    """Start, photo, corner, mistake, one food, heat, several, whole plate, paint; light and dark."""
    tab = page.tab(1280)
    states = {"start": inaccessible(tab)}
    tab.locator("#photo input[type=file]").set_input_files(page.photo)
    tab.locator("#photo img").wait_for()
    states["photo"] = inaccessible(tab)
    tab.locator("#numbers").click()
    tab.get_by_label("left").fill("180")
    tab.locator("#take-box").click()
    tab.get_by_text("left is 180").first.wait_for()
    states["mistake"] = inaccessible(tab)
    drag(tab, RED)
    tab.locator("#explain").click()
    tab.locator("#heat img").first.wait_for()
    states["answer with heat"] = inaccessible(tab)
    drag(tab, GREEN)
    tab.mouse.click(*place(tab, 1, 1))
    idle(tab)
    assert names(tab) == ["1", "2"]
    states["several foods and a corner"] = inaccessible(tab)
    tab.locator("#label-map").set_input_files(page.label_map)
    assert names(tab) == ["1", "2", "3", "4"]
    tab.locator("#find").click()  # in the place of what the label map gave
    assert names(tab) == ["1", "2", "3", "4"]
    tab.locator("#about summary").click()
    states["whole plate"] = inaccessible(tab)
    tab.get_by_role("tab", name="Paint").click()
    states["paint"] = inaccessible(tab)
    assert {state: found for state, found in states.items() if found} == {}
    tab.close()


def test_foods_are_taken_back_and_downloaded(page: Opened) -> None:
    """Undo, Ctrl+Z, remove, clear; the chosen food is shown; files are named after the photo."""
    tab = page.tab(1280)
    tab.locator("#photo input[type=file]").set_input_files(page.photo)
    for box in (RED, GREEN, RED, GREEN):
        drag(tab, box)
    tab.locator("#undo").click()
    assert names(tab) == ["1", "2", "3"]
    tab.locator("#hint").click()
    tab.keyboard.press("Control+z")
    assert names(tab) == ["1", "2"]
    shown = tab.locator("#how").inner_text()
    tab.get_by_role("button", name="Food 1: show it").click()
    idle(tab)
    assert tab.locator("#which").inner_text() == "Food 1"
    assert tab.locator("#how").inner_text() != shown
    files = {}
    for kind in ("foods.png", "coco.json"):
        with tab.expect_download() as download:
            tab.locator(f"[data-file='{kind}']").click()
        files[kind] = Path(download.value.path()).read_bytes()
    assert Image.open(io.BytesIO(files["foods.png"])).size[0] > 1200
    objects = json.loads(files["coco.json"])
    assert objects["images"][0]["file_name"] == page.photo.name
    boxes = np.array([each["bbox"] for each in objects["annotations"]])
    np.testing.assert_allclose(boxes, [[300, 80, 210, 170], [40, 220, 190, 150]], atol=SCALE)
    tab.get_by_role("button", name="Remove food 1").click()
    assert names(tab) == ["1"]
    tab.locator("#clear").click()
    assert names(tab) == []
    assert tab.locator("#photo img").is_visible()
    tab.close()


def test_a_finger_drags_a_box(page: Opened) -> None:
    """On a phone; over the border too; the page does not scroll with it, and the answer comes into view."""
    tab = page.tab(390, has_touch=True, is_mobile=True)
    tab.locator("#photo input[type=file]").set_input_files(page.photo)
    tab.locator("#photo img").scroll_into_view_if_needed()
    finger = tab.context.new_cdp_session(tab)

    def touch(kind: str, *at: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in at]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before, corner = tab.evaluate("scrollY"), place(tab, RED[0] - 2, RED[1] - 2)
    touch("touchStart", corner)
    for step in range(1, 5):
        x, y = place(tab, RED[0] + 10 * step, RED[1] + 6 * step)
        touch("touchMove", (x, y))
        assert tab.evaluate("scrollY") == before
    touch("touchEnd")
    assert names(tab) == ["1"]
    top = tab.locator("#results").bounding_box()["y"]
    assert 0 <= top < 850
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert inaccessible(tab) == []
    tab.close()
