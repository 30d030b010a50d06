"""Where the page listens, what it refuses, and what it leaves behind."""

import socket
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="gradio is not installed: the page is optional")

from fastapi.testclient import TestClient

from pipeline.errors import ParamsError
from pipeline.prediction.run import open_run
from pipeline.segmentation.grabcut import GrabCut
from pipeline.serving.desk import Desk
from pipeline.serving.samples import DIPS, SamplePhoto, drawn_samples, samples_from
from pipeline.serving.server import address, is_loopback, make_app, serve
from tests.judged_run import write_small_run
from tests.meal import write_meal
from tests.raw_folder import noise


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Return a desk with one run."""
    run = write_small_run(tmp_path_factory.mktemp("desk") / "run", ("roi",))
    return Desk((open_run(run, device="cpu"),), GrabCut(), (SamplePhoto("noise", noise(20, 30, 0), None),))


def test_the_browser_is_told_to_ask_nobody_else(desk: Desk) -> None:
    """Every answer forbids other hosts, and no font or script of one is asked for."""
    with TestClient(make_app(desk, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        answer = client.get("/")
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "fonts.googleapis.com" not in answer.text
        assert client.get("/docs").status_code == 404


def test_a_page_for_this_computer_answers_to_its_names_only(desk: Desk) -> None:
    """Another name that points here, as DNS rebinding makes one, is refused."""
    with TestClient(make_app(desk, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        assert client.get("/", headers={"host": "localhost:7860"}).status_code == 200


def test_uploads_are_bounded_and_other_files_out_of_reach(desk: Desk) -> None:
    """32 MB is too much; no path of this computer is served."""
    with TestClient(make_app(desk, "127.0.0.1"), base_url="http://127.0.0.1") as client:
        large = client.post("/gradio_api/upload", files={"files": ("x.jpg", b"\0" * 32_000_000)})
        assert large.status_code == 413
        assert client.get("/gradio_api/file=/etc/passwd").status_code in {403, 404}


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.7", False)],  # noqa: S104
)
def test_loopback_is_told_from_the_rest(host: str, near: bool) -> None:
    """By address, not by spelling."""
    assert is_loopback(host) is near


def test_a_port_that_is_taken_is_named(desk: Desk) -> None:
    """Before the page is built."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(ParamsError, match=f"--port {port}: .*choose another port"):
            serve(desk, host="127.0.0.1", port=port)
    with pytest.raises(ParamsError, match=r"--host nowhere\.invalid"):
        serve(desk, host="nowhere.invalid", port=0)


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
