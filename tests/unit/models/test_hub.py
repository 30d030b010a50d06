"""The hub, by a local stand-in."""

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants

from pipeline.errors import WeightsError
from pipeline.models.hub import fetch_from_hub

TIMM_ID = "test_vit.r160_in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAYLOAD = b"weights of a test"


class Hub(BaseHTTPRequestHandler):
    """Serves one file of one repository at revision `v1`, as the hub does."""

    def do_HEAD(self) -> None:
        """Answer with the commit and the hash of the file, or with the hub's error codes."""
        if self.path == "/":
            self._answer(200, {})
            return
        *repository, _, revision, name = self.path.strip("/").split("/")
        if revision not in {"v1", COMMIT}:
            self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        elif name != self.server.file_name:  # type: ignore[attr-defined]
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            assert repository == ["timm", "test_vit.r160_in1k"]
            etag = hashlib.sha256(PAYLOAD).hexdigest()
            self._answer(200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Content-Length": str(len(PAYLOAD))})

    def do_GET(self) -> None:
        """Send the file."""
        self.do_HEAD()
        self.wfile.write(PAYLOAD)

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    """Run the stand-in on a free port, with an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.file_name = "model.safetensors"  # type: ignore[attr-defined]
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("file_name", ["model.safetensors", "pytorch_model.bin"])
def test_a_revision_becomes_a_file_and_a_commit(hub: ThreadingHTTPServer, file_name: str) -> None:
    """The safe format is asked for first, the older one taken where it is the only one."""
    hub.file_name = file_name  # type: ignore[attr-defined]
    file = fetch_from_hub(TIMM_ID, "v1")
    assert file.path.read_bytes() == PAYLOAD
    assert (file.repository, file.commit, file.path.name) == ("timm/test_vit.r160_in1k", COMMIT, file_name)


def test_a_cached_file_needs_no_hub(hub: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once fetched, it is there without a connection; another revision is not, and the message says what to do."""
    fetched = fetch_from_hub(TIMM_ID, "v1")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert fetch_from_hub(TIMM_ID, "v1") == fetched
    assert hub.server_port
    with pytest.raises(
        WeightsError, match=r"cannot be reached and model.safetensors of timm/.*backbones.<name>.weights"
    ):
        fetch_from_hub(TIMM_ID, "v2")


def test_unknown_revisions_and_files_are_told_apart(hub: ThreadingHTTPServer) -> None:
    """Both name the repository."""
    with pytest.raises(WeightsError, match="timm/test_vit.r160_in1k has no revision 'v9'"):
        fetch_from_hub(TIMM_ID, "v9")
    hub.file_name = "other.bin"  # type: ignore[attr-defined]
    with pytest.raises(WeightsError, match="has none of model.safetensors, pytorch_model.bin"):
        fetch_from_hub(TIMM_ID, "v1")


def test_a_model_without_weights_on_the_hub_is_refused() -> None:
    """The demo's backbones have none, for instance."""
    with pytest.raises(WeightsError, match="lists no weights on the hub for 'demo_vit'"):
        fetch_from_hub("demo_vit", "main")
