"""Where the page listens, what it refuses, and what it leaves behind."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.cli.serve import serve as serve_command
from pipeline.inference.predictor import open_run
from pipeline.models.card import RUN_CARD, WEIGHTS
from pipeline.runtime.errors import ParamsError, PipelineError
from pipeline.segmentation.grabcut import GrabCut
from pipeline.serving import requests
from pipeline.serving.access import is_loopback
from pipeline.serving.app import make_app
from pipeline.serving.handlers import DIPS, PageController, SamplePhoto, drawn_samples, samples_from
from pipeline.serving.server import address, serve
from tests.meal import write_meal
from tests.raw_folder import noise
from tests.served_page import png
from tests.small_run import write_small_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> PageController:
    """Return a controller with one run."""
    run = write_small_run(tmp_path_factory.mktemp("controller") / "run", ("roi",))
    return PageController((open_run(run, device="cpu"),), GrabCut(), (SamplePhoto("noise", noise(20, 30, 0), None),))


def test_the_browser_is_told_to_ask_nobody_else(controller: PageController) -> None:
    """Every answer forbids other hosts, and scripts and styles within the document."""
    with TestClient(make_app(controller, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        for path in ("/", "/page.js", "/page.css", "/samples/0/image.webp", "/docs"):
            policy = client.get(path).headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
        assert "<script>" not in client.get("/").text


def test_names_of_files_and_categories_are_text(controller: PageController) -> None:
    """A caption that looks like markup does nothing."""
    sample = SamplePhoto("<script>alert(1)</script>", noise(20, 30, 0), None)
    with TestClient(
        make_app(replace(controller, samples=(sample,)), "127.0.0.1"), base_url="http://127.0.0.1"
    ) as client:
        assert "&lt;script&gt;alert(1)" in client.get("/").text


def test_a_page_for_this_computer_answers_to_its_names_only(controller: PageController) -> None:
    """Another name that points here, as DNS rebinding makes one, is refused."""
    with TestClient(make_app(controller, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        for name in ("localhost:7860", "LOCALHOST", "[::1]:80", "127.0.0.2"):
            assert client.get("/", headers={"host": name}).status_code == 200


def test_a_link_to_the_page_opens_it_and_nothing_else(controller: PageController) -> None:
    """A person may follow a link from elsewhere; what the page is made of is for itself."""
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    with TestClient(make_app(controller, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        assert client.get("/", headers=followed).status_code == 200
        assert client.get("/page.js", headers=followed).status_code == 403
        assert client.post("/samples", json={"number": 0}, headers=followed).status_code == 403


def test_too_much_work_is_refused_at_once(controller: PageController, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too many wait, or too much is on its way."""
    body = {"content": png(9, 9), "headers": {"content-type": "application/octet-stream"}}
    with TestClient(make_app(controller, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        monkeypatch.setattr(requests, "MAX_WAITING", 0)
        busy = client.post("/photos", **body)
        assert (busy.status_code, busy.text) == (503, "Too many visitors at once; try again in a moment")
        monkeypatch.setattr(requests, "MAX_WAITING", 1)
        monkeypatch.setattr(requests, "MAX_BUFFERED", 10)
        assert client.post("/photos", **body).status_code == 503
        monkeypatch.setattr(requests, "MAX_BUFFERED", 10**6)
        assert client.post("/photos", **body).status_code == 200  # what was refused holds no room


def test_a_mistake_of_the_page_is_one_line_for_the_visitor(
    controller: PageController, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its author finds the rest in the terminal; want of memory is not a mistake."""
    failures = iter((ZeroDivisionError("a secret"), MemoryError()))

    def fail(*_: object) -> None:
        raise next(failures)

    monkeypatch.setattr(PageController, "take_sample", fail)
    with TestClient(make_app(controller, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        failed = client.post("/samples", json={"number": 0})
        assert failed.status_code == 500
        assert "secret" not in failed.text
        assert "ZeroDivisionError" in capfd.readouterr().err
        assert client.post("/samples", json={"number": 0}).status_code == 503
        assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.7", False)],  # noqa: S104
)
def test_loopback_is_told_from_the_rest(host: str, near: bool) -> None:
    """By address, not by spelling."""
    assert is_loopback(host) is near


def test_a_port_that_is_taken_is_named(controller: PageController) -> None:
    """Before the page is built."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(ParamsError, match=f"--port {port}: .*choose another port"):
            serve(controller, host="127.0.0.1", port=port)
    with pytest.raises(ParamsError, match=r"--host nowhere\.invalid"):
        serve(controller, host="nowhere.invalid", port=0)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"filters": ["min_score=0.5"]}, "--filter chooses among proposals; give --text, or --masks"),
        ({"text": ["food"], "masks": "sam"}, "--text is answered by SAM 3, not by --masks sam"),
        ({"text": ["food"], "mask_weights": Path("nowhere")}, "nowhere: no such folder; --text needs SAM 3"),
    ],
)
def test_proposals_that_cannot_be_are_told_before_a_run_is_loaded(
    tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    """Thresholds without a source, text beside another network, text without weights."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (RUN_CARD, WEIGHTS):
        (folder / name).touch()
    with pytest.raises(PipelineError, match=reason):
        serve_command(folder, **options)


def test_drawn_samples_show_each_sauce_with_a_box_around_it() -> None:
    """Inside the photo, and not all of it."""
    samples = drawn_samples()
    assert [sample.caption for sample in samples] == list(DIPS)
    for sample in samples:
        assert sample.prompt is not None
        x0, y0, x1, y1 = sample.prompt.bounds()
        height, width = sample.photo.shape[:2]
        assert 0 <= x0 < x1 < width
        assert 0 <= y0 < y1 < height
        assert (x1 - x0) * (y1 - y0) < height * width / 4


def test_a_visitor_s_own_samples_come_from_a_folder(tmp_path: Path) -> None:
    """Without boxes; a folder without photos is refused."""
    write_meal(tmp_path)
    (sample,) = samples_from(tmp_path)
    assert (sample.caption, sample.prompt) == ("meal", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParamsError, match="no photo"):
        samples_from(tmp_path / "empty")
