"""Labelling: in a real browser through a kill, and what two people, a changed file and other folders meet."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from pipeline.datasets.index import read_samples
from pipeline.datasets.photos import read_masks
from pipeline.imaging.components import iou
from pipeline.imaging.decode import read_photo
from pipeline.inference.predictor import open_run
from pipeline.labelling.app import make_label_app
from pipeline.labelling.folder import ChangedError, LabelFolder, LabelledFood, Labels, PhotoFile
from pipeline.labelling.review import find_disagreements, least_certain_first, take_over
from pipeline.labelling.work import Action, Labeller
from pipeline.params.stages import IndexParams
from pipeline.runtime.errors import BusyError, DatasetError, ParamsError
from pipeline.segmentation.grabcut import GrabCut
from pipeline.serving.app import make_app
from pipeline.serving.handlers import PageController
from pipeline.steps.index import build_index
from tests.browser import browser, inaccessible
from tests.small_run import write_small_run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
HEIGHT, WIDTH = 240, 320
FOOD = (60, 180, 100, 220)
"""Top, bottom, left and right of the food on every photo."""
NAMED = IndexParams(on_error="fail", tiny_area=1)


def write_photos(folder: Path, count: int) -> Path:
    """Write photos of a red square on a noisy green ground; the names hold words that name splits."""
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 40, (HEIGHT, WIDTH, 3), np.uint8)
        pixels[..., 1] += 120
        pixels[FOOD[0] : FOOD[1], FOOD[2] : FOOD[3]] = (220, 20, 30)
        Image.fromarray(pixels).save(folder / f"test_{number}.png")
    return folder


def square() -> np.ndarray:
    """Return the food's mask."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[FOOD[0] : FOOD[1], FOOD[2] : FOOD[3]] = True
    return mask


def labeller(folder: Path, photos: Path | None) -> Labeller:
    """Return the work on photos as the command begins it."""
    opened = LabelFolder(folder)
    return Labeller(opened, opened.photos(photos), GrabCut())


@contextmanager
def served(*arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the command; yield address and process, which is killed at the end, as a power cut does."""
    command = [sys.executable, "-m", "pipeline", "label", *arguments, "--port", "0", "--no-browser"]
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stderr is not None
        printed = ""
        while not (address := re.search(r"http://\S+", printed)):
            printed = process.stderr.readline()
            assert printed
        yield address.group(), process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(60)


def told(tab: Any, words: str, where: str = "#hint") -> None:
    """Wait until the page says something."""
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(tab.locator(where)).to_contain_text(words, timeout=60_000)


def name_alike(tab: Any) -> None:
    """Name two foods "red" before their outlines are there, where "red square" is in the list; take both back."""
    tab.keyboard.press("w")
    tab.keyboard.type("red")  # the beginning of a name
    tab.keyboard.press("Shift+Enter")
    told(tab, "1: red", "#foods")
    tab.keyboard.press("w")
    tab.keyboard.type("red")
    tab.keyboard.press("Enter")  # a whole name and the beginning of another
    told(tab, "2: red", "#foods")
    assert tab.locator("#foods li button").first.inner_text() == "1: red"
    tab.keyboard.press("Control+z")
    for _ in range(3):
        tab.keyboard.press("u")
    told(tab, "Drag a box")


def test_photos_are_labelled_in_the_browser_through_a_kill(tmp_path: Path) -> None:
    """By drag and by keys alone; the killed page goes on where it was, and stage `index` reads what it left."""
    photos, out = write_photos(tmp_path / "photos", 3), tmp_path / "out"
    with browser() as opened:
        with served(str(photos), "--out", str(out)) as (address, _):
            tab = opened.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
            tab.goto(address)
            told(tab, "Drag a box around a food")
            frame = tab.locator("#picture").bounding_box()
            across, down = frame["width"] / WIDTH, frame["height"] / HEIGHT
            for x, y, button in ((85, 45, tab.mouse.down), (235, 195, tab.mouse.up)):
                tab.mouse.move(frame["x"] + x * across, frame["y"] + y * down, steps=4)
                button()
            told(tab, "choose a name")
            tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
            assert inaccessible(tab) == []
            tab.keyboard.type("Red  Square")
            tab.keyboard.press("Enter")
            told(tab, "Another food?")
            tab.keyboard.press("n")
            told(tab, "test_1.png", "#name")
            tab.keyboard.press("ArrowLeft")
            tab.keyboard.press("Enter")  # a box in the middle, by the keyboard alone
            told(tab, "choose a name")
            tab.close()
        with served(str(photos), "--out", str(out)) as (address, _):
            tab = opened.new_page(viewport={"width": 390, "height": 844}, bypass_csp=True)
            tab.goto(address)
            told(tab, "test_1.png", "#name")
            told(tab, "1 of 3", "#done")
            tab.keyboard.press("n")
            told(tab, "Food 1 has no name yet")
            tab.keyboard.press("f")
            tab.keyboard.press("1")  # the one category so far
            told(tab, "Another food?")
            tab.keyboard.press("n")
            told(tab, "test_2.png", "#name")
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390
            assert inaccessible(tab) == []
            name_alike(tab)
            tab.keyboard.press("0")
            told(tab, "No other photo waits")
            tab.keyboard.press("p")  # what is done can be looked at again
            told(tab, "test_1.png", "#name")
    build_index(NAMED, raw=out, index=tmp_path / "index", workers=1)
    samples = sorted(read_samples(tmp_path / "index/samples.parquet"), key=lambda sample: sample.photo_path[-5:])
    assert [(Path(sample.photo_path).name, sample.category) for sample in samples] == [
        (f"test_{number}.png", "red square") for number in (0, 1)
    ]
    (mask,) = read_masks(samples[:1], out).values()
    assert iou(mask, square()) > 0.9


def test_the_split_is_by_the_photo_the_share_and_the_seed(tmp_path: Path) -> None:
    """Whatever the order and the name; a renamed photo keeps its split, and another share or seed is refused."""
    photos = write_photos(tmp_path / "photos", 30)
    splits: list[dict[int, str]] = []
    for out in (tmp_path / "one", tmp_path / "two"):
        folder = LabelFolder(out, seed=3, test_share=0.4)
        for photo in folder.photos(photos)[:: 1 if out.name == "one" else -1]:
            folder.save(photo, Labels((LabelledFood(square(), "red"),), done=True))
        splits.append({int(re.findall(r"\d+", path.stem)[-1]): path.parent.name for path in out.glob("t*/*.png")})
        for path in sorted(photos.iterdir(), reverse=True):
            path.rename(path.with_name(f"train_{path.name}"))
    assert splits[0] == splits[1]
    assert 4 <= sum(split == "test" for split in splits[0].values()) <= 20
    with pytest.raises(ParamsError, match="--seed 4: .* was begun with 3"):
        LabelFolder(tmp_path / "one", seed=4)


def test_two_people_never_overwrite_each_other(tmp_path: Path) -> None:
    """Who opens a photo holds it; the other gets the next one, and an outdated page is refused and told."""
    photos = write_photos(tmp_path / "photos", 2)
    one, two = (labeller(tmp_path / "out", photos) for _ in "12")
    first = one.act(Action(do="open"))
    assert two.act(Action(do="open"))["name"] != first["name"]
    with pytest.raises(BusyError, match="somebody else has it open"):
        two.act(Action(do="open", photo=first["photo"]))
    marked = one.act(Action(do="whole", photo=first["photo"]))
    with pytest.raises(ChangedError, match="changed elsewhere"):
        one.act(Action(do="whole", photo=first["photo"]))  # by a page that shows no food
    named = one.act(Action(do="name", photo=first["photo"], revision=marked["revision"], food=0, category="rice"))
    assert [food["category"] for food in named["foods"]] == ["rice"]
    assert two.folder.count().foods == {"rice": 1}


def test_a_done_photo_waits_again_for_the_name_of_a_new_food(tmp_path: Path) -> None:
    """It would be absent from the data set without a word."""
    work = labeller(tmp_path / "out", write_photos(tmp_path / "photos", 1))
    state = work.act(Action(do="open"))
    for step in ({"do": "whole"}, {"do": "name", "food": 0, "category": "rice"}, {"do": "next"}):
        state = work.act(Action(photo=0, revision=state["revision"], **step))
    assert state["is_done"]
    assert not work.act(Action(do="whole", photo=0, revision=state["revision"]))["is_done"]
    assert work.folder.count().done == frozenset()


def test_a_mask_is_painted_wiped_and_taken_back(tmp_path: Path) -> None:
    """The brush adds where it went, the eraser removes; undo brings every step back, on the disk as well."""
    work = labeller(tmp_path / "out", write_photos(tmp_path / "photos", 1))
    states = [work.act(Action(do="open"))]

    def step(**action: Any) -> None:
        states.append(work.act(Action(photo=0, revision=states[-1]["revision"], **action)))

    step(do="stroke", places=((0.5, 0.5),), radius=0.1)
    step(do="stroke", food=0, places=((0.1, 0.1), (0.9, 0.1)), radius=0.02)
    step(do="stroke", food=0, places=((0.5, 0.5),), radius=0.05, erase=True)
    shares = [state["foods"][0]["share"] for state in states[1:]]
    assert shares[0] == pytest.approx(np.pi * 32**2 / (WIDTH * HEIGHT), rel=0.05)
    assert shares[1] > shares[0]
    assert shares[1] > shares[2]
    with pytest.raises(DatasetError, match="Nothing of the food would be left"):
        step(do="stroke", food=0, places=((0.0, 0.5), (1.0, 0.5)), radius=1.0, erase=True)
    step(do="undo")
    step(do="undo")
    assert states[-1]["foods"][0]["share"] == shares[0]
    assert work.folder.load(work.photos[0]).foods[0].mask.mean() == shares[0]


def test_a_data_set_is_taken_over_and_exported(tmp_path: Path) -> None:
    """With its splits; the export is a data set again, of the same foods, and a second start changes nothing."""
    photos, out = write_photos(tmp_path / "photos", 12), tmp_path / "out"
    folder = LabelFolder(out)
    for number, photo in enumerate(folder.photos(photos)):
        folder.save(photo, Labels((LabelledFood(square(), ("rice", "beans")[number % 2]),)))
    copy = LabelFolder(tmp_path / "copy")
    take_over(out, copy)
    files = {path: path.read_bytes() for path in (tmp_path / "copy").rglob("*.*") if path.is_file()}
    take_over(out, copy)
    assert files == {path: path.read_bytes() for path in files}
    assert {path.relative_to(out) for path in out.glob("t*/*")} == {
        path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").glob("t*/*")
    }
    exported = tmp_path / "export"
    shutil.copytree(out / "train", exported / "train")
    shutil.copytree(out / "test", exported / "test")
    assert folder.write_coco(exported / "foods.json") == 12
    tables = []
    for raw in (out, exported):
        build_index(NAMED, raw=raw, index=tmp_path / "index", workers=1)
        samples = read_samples(tmp_path / "index/samples.parquet")
        tables.append([(sample.photo_path, sample.category, sample.rle) for sample in samples])
    assert tables[0] == tables[1]


def test_photos_of_one_name_in_two_splits_stay_two(tmp_path: Path) -> None:
    """A data set may call its first photo the same in each split."""
    paths = sorted(write_photos(tmp_path / "photos", 2).iterdir())
    folder, copy = LabelFolder(tmp_path / "out"), LabelFolder(tmp_path / "copy")
    for path, split in zip(paths, ("train", "test"), strict=True):
        folder.save(PhotoFile("1.png", path, split), Labels((LabelledFood(square(), "rice"),)))
    take_over(tmp_path / "out", copy)
    assert {(photo.name, photo.split) for photo in copy.photos(None)} == {("1.png", "train"), ("test-1.png", "test")}
    assert {photo.path.read_bytes() for photo in copy.photos(None)} == {path.read_bytes() for path in paths}


def test_the_labels_that_a_run_disagrees_with_come_first(tmp_path: Path) -> None:
    """The most certain first; then photos by their least certain answer, then those that say nothing."""
    run = open_run(write_small_run(tmp_path / "run", ("roi",)), device="cpu")
    folder = LabelFolder(tmp_path / "out")
    photos = folder.photos(write_photos(tmp_path / "photos", 6))
    (answer,) = run.predict(read_photo(photos[0].path), [square()])
    right, wrong = answer.top(1)[0].category, answer.top()[-1].category
    labels = [(), ("plum",), (right,), (wrong, right), (wrong,), (right, wrong)]
    masks = square(), square()[::-1]
    for photo, names in zip(photos, labels, strict=True):
        folder.save(photo, Labels(tuple(map(LabelledFood, masks, names))))
    ordered, found = find_disagreements(run, folder, folder.photos(None))
    tops = [
        [each.top(1)[0] for each in run.predict(read_photo(photo.path), masks[: len(names)])] if names else []
        for photo, names in zip(photos, labels, strict=True)
    ]
    expected = [
        (top.probability, photo.name, number, name, top.category)
        for photo, names, of_photo in zip(photos, labels, tops, strict=True)
        for number, (name, top) in enumerate(zip(names, of_photo, strict=True))
        if name not in {"plum", top.category}
    ]
    assert [
        (each.confidence, ordered[each.photo].name, each.food, each.label, each.answer) for each in found
    ] == sorted(expected, key=lambda entry: (-entry[0], entry[1]))
    assert found
    assert ordered[0].name == ordered[found[0].photo].name
    assert {photo.name for photo in ordered[-2:]} == {"test_0.png", "test_1.png"}


def test_photos_of_which_the_run_is_least_certain_come_first(tmp_path: Path) -> None:
    """By the food that it is least certain of, or the whole photo; first what is done, last what cannot be read."""
    run = open_run(write_small_run(tmp_path / "run", ("roi",)), device="cpu")
    folder = LabelFolder(tmp_path / "out")
    photos = folder.photos(write_photos(tmp_path / "photos", 6))
    folder.save(photos[0], Labels((LabelledFood(square()),), done=True))
    folder.save(photos[1], Labels((LabelledFood(square()), LabelledFood(~square()))))
    photos[2].path.write_bytes(b"<html>")

    def certainty(photo: PhotoFile, *masks: np.ndarray) -> float:
        return min(each.top(1)[0].probability for each in run.predict(read_photo(photo.path), masks))

    expected = {1: certainty(photos[1], square(), ~square())}
    expected |= {number: certainty(photos[number], np.ones((HEIGHT, WIDTH), np.bool_)) for number in (3, 4, 5)}
    ordered = [photos.index(photo) for photo in least_certain_first(run, folder, photos)]
    assert ordered == [0, *sorted(expected, key=expected.__getitem__), 2]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """A line each: what holds something else, a damaged file, a folder without photos."""
    (tmp_path / "else").mkdir()
    (tmp_path / "else/notes.txt").write_text("mine")
    with pytest.raises(ParamsError, match=r"holds notes.txt, which `label` did not write"):
        LabelFolder(tmp_path / "else")
    folder = LabelFolder(tmp_path / "out")
    (tmp_path / "none").mkdir()
    with pytest.raises(ParamsError, match="no photo in this folder"):
        folder.photos(tmp_path / "none")
    with pytest.raises(DatasetError, match="no food is named yet"):
        folder.write_coco(tmp_path / "x.json")
    (photo,) = folder.photos(write_photos(tmp_path / "photos", 1))
    folder.save(photo, Labels((LabelledFood(square(), "rice"),)))
    (path,) = (tmp_path / "out/annotations").iterdir()
    path.write_text(json.dumps({"info": {}}))
    with pytest.raises(DatasetError, match="not written by `label`; delete it"):
        LabelFolder(tmp_path / "out").photos(None)


def test_a_photo_that_cannot_be_read_is_passed_with_its_reason(tmp_path: Path) -> None:
    """The next one is shown, and the page says why."""
    photos = write_photos(tmp_path / "photos", 2)
    (photos / "test_0.png").write_bytes(b"<html>")
    state = labeller(tmp_path / "out", photos).act(Action(do="open"))
    assert state["name"] == "test_1.png"
    assert "Left out: test_0.png" in state["said"]


def test_the_page_answers_its_own_requests_only(tmp_path: Path) -> None:
    """Another host name, a form of another site and a path that leads elsewhere get nothing."""
    work = labeller(tmp_path / "out", write_photos(tmp_path / "photos", 1))
    with TestClient(make_label_app(work, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        assert "script-src 'self'" in client.get("/").headers["content-security-policy"]
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        assert client.post("/act", content='{"do": "open"}').status_code == 415
        assert client.post("/act", json={"do": "open"}, headers={"origin": "http://evil.example"}).status_code == 403
        assert client.post("/act", json={"do": "open", "photo": "../../etc/passwd"}).status_code == 422
        state = client.post("/act", json={"do": "open"}).json()
        assert client.post("/act", json={"do": "whole", "photo": state["photo"]}).status_code == 200
        assert client.get("/photos/0/x/photo.webp").headers["content-type"] == "image/webp"
        assert client.get("/photos/0/x/..%2f..%2fetc").status_code == 404
        assert client.get("/photos/1/x/photo.webp").status_code == 422


def test_the_page_of_a_run_has_it_too(tmp_path: Path) -> None:
    """Behind the same door, with its own errors; without labelling nothing is there."""
    run = open_run(write_small_run(tmp_path / "run", ("roi",)), device="cpu")
    controller = PageController((run,), GrabCut(), ())
    work = labeller(tmp_path / "out", write_photos(tmp_path / "photos", 1))
    with TestClient(
        make_app(controller, "127.0.0.1", labelling=partial(make_label_app, work)),
        base_url="http://127.0.0.1",
    ) as client:
        assert 'href="/label/"' in client.get("/").text
        assert 'href="/"' in client.get("/label/").text
        assert client.get("/label/", headers={"host": "evil.example"}).status_code == 400
        for name in ("label.css", "label.js"):
            assert client.get(f"/label/{name}").status_code == 200
        assert (
            client.post("/label/act", json={"do": "open"}, headers={"origin": "http://evil.example"}).status_code == 403
        )
        state = client.post("/label/act", json={"do": "open"}).json()
        stale = {"do": "whole", "photo": state["photo"], "revision": "of before"}
        assert client.post("/label/act", json=stale).status_code == 409
        assert client.get("/label/photos/0/x/photo.webp").headers["content-type"] == "image/webp"
    with TestClient(make_app(controller, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        assert "/label/" not in client.get("/").text
        assert client.get("/label/").status_code == 404
