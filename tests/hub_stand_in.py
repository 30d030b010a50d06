"""A stand-in of the Hugging Face hub on loopback: one file of one repository, lying on a content network as there."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

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
        if handler.path == "/":
            _answer(handler, 200, {})
            return
        *repository, _, revision, name = handler.path.strip("/").split("/")
        if "/".join(repository) != REPOSITORY:
            _answer(handler, 404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in {"v1", COMMIT}:
            _answer(handler, 404, {"X-Error-Code": "RevisionNotFound"})
        elif name != self.name:
            _answer(handler, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            self._point_to_file(handler)

    def _point_to_file(self, handler: BaseHTTPRequestHandler) -> None:
        size, etag = str(len(self.payload)), f'"{hashlib.sha256(self.payload).hexdigest()}"'
        known = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": etag, "X-Linked-Size": size, "ETag": etag}
        if self.redirect:
            _answer(handler, 302, known | {"Location": f"http://127.0.0.1:{self.network_port}/blob?signature=secret"})
        elif handler.command == "HEAD":
            _answer(handler, 200, known | {"Content-Length": size})
        else:
            self.send(handler)

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the file, or the rest of it."""
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        body = self.payload[start : len(self.payload) - self.short]
        ranged = {"Content-Range": f"bytes {start}-{len(self.payload) - 1}/{len(self.payload)}"} if wanted else {}
        _answer(handler, 206 if wanted else 200, ranged | {"Content-Length": str(len(body))})
        handler.wfile.write(body[: self.cut_after.pop(0)] if self.cut_after else body)
        handler.close_connection = True


def _answer(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in ({"Content-Length": "0"} | headers).items():
        handler.send_header(name, value)
    handler.end_headers()


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
