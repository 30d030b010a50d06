"""A stand-in of the Hugging Face hub on loopback, whose files lie on a content network as there.

It has one file of a model repository, or the files of a data set with its commits.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs

import huggingface_hub.file_download
import pytest
from huggingface_hub import constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""What revision `v1` stands for."""
REPOSITORY = "timm/test_vit.r160_in1k"


@dataclass
class Hub:
    """What the stand-in has, and what it was asked."""

    payload: bytes = b"weights of a test" * 1000
    name: str = "model.safetensors"
    redirect: bool = True
    """Whether files lie on another host, as large ones do."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers end, one an answer."""
    short: int = 0
    """Bytes that are missing although the answer is complete."""
    dataset: str = ""
    """Repository of a data set."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Its files by path."""
    commit: str = COMMIT
    """Its only commit."""
    refusal: tuple[int, str] | None = None
    """Status and error code of every answer about the data set."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Range of every request."""
    hub_port: int = 0
    network_port: int = 0

    @property
    def address(self) -> str:
        """Value of HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.hub_port}"

    def describe(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer what the hub itself answers: metadata, errors, and where the file lies."""
        if handler.path.count("/") < 3:  # whether it is there, and what the library asks of its own accord
            _answer(handler, 200 if handler.path == "/" else 404, {})
            return
        if self.dataset and f"datasets/{self.dataset}/" in handler.path:
            self._describe_dataset(handler)
            return
        *repository, _, revision, name = handler.path.strip("/").split("/")
        if "/".join(repository) != REPOSITORY:
            _answer(handler, 404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in {"v1", COMMIT}:
            _answer(handler, 404, {"X-Error-Code": "RevisionNotFound"})
        elif name != self.name:
            _answer(handler, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            self._point_to_file(handler, self.payload)

    def _describe_dataset(self, handler: BaseHTTPRequestHandler) -> None:
        kind, _, rest = handler.path.partition(f"datasets/{self.dataset}/")
        action, _, place = rest.partition("/")
        revision, _, name = place.partition("/")
        if self.refusal:
            _answer(handler, self.refusal[0], {"X-Error-Code": self.refusal[1]})
        elif kind == "/api/" and action == "commits":
            commit = {"id": self.commit, "authors": [], "date": "2024-01-01T00:00:00.000Z", "title": "", "message": ""}
            _answer(handler, 200, {}, json.dumps([commit]).encode())
        elif revision != self.commit:
            _answer(handler, 404, {"X-Error-Code": "RevisionNotFound"})
        elif kind == "/api/":
            wanted = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())["paths"]
            found = [
                {"type": "file", "path": name, "size": len(body), "oid": "0" * 40, "lfs": _lfs(body)}
                for name, body in self.files.items()
                if name in wanted
            ]
            _answer(handler, 200, {}, json.dumps(found).encode())
        elif name not in self.files:
            _answer(handler, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit})
        else:
            self._point_to_file(handler, self.files[name], name)

    def _point_to_file(self, handler: BaseHTTPRequestHandler, payload: bytes, name: str = "") -> None:
        size, etag = str(len(payload)), f'"{hashlib.sha256(payload).hexdigest()}"'
        known = {"X-Repo-Commit": self.commit, "X-Linked-Etag": etag, "X-Linked-Size": size, "ETag": etag}
        if self.redirect:
            blob = f"http://127.0.0.1:{self.network_port}/blob/{name}?signature=secret"
            _answer(handler, 302, known | {"Location": blob})
        elif handler.command == "HEAD":
            _answer(handler, 200, known | {"Content-Length": size})
        else:
            self.send(handler)

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the file, or the rest of it."""
        payload = self.files.get(handler.path.partition("?")[0].removeprefix("/blob/"), self.payload)
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        body = payload[start : len(payload) - self.short]
        ranged = {"Content-Range": f"bytes {start}-{len(payload) - 1}/{len(payload)}"} if wanted else {}
        _answer(handler, 206 if wanted else 200, ranged | {"Content-Length": str(len(body))})
        handler.wfile.write(body[: self.cut_after.pop(0)] if self.cut_after else body)
        handler.close_connection = True


def _lfs(body: bytes) -> dict[str, str | int]:
    return {"oid": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 134}


def _answer(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """Run the hub and its content network on free ports for the time of the block."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            hub.asked.append((self.command, self.path, self.headers.get("Range")))
            hub.send(self) if self.server is network else hub.describe(self)

        def do_GET(self) -> None:
            self.do_HEAD()

        def do_POST(self) -> None:
            self.do_HEAD()

        def log_message(self, *_: object) -> None:
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    network = servers[1]
    hub.hub_port, hub.network_port = (server.server_port for server in servers)
    threads = [Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in servers]
    for thread in threads:
        thread.start()
    yield hub
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


def ask_hub(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub ask the stand-in, with a cache of its own; the library waits for nothing."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)
