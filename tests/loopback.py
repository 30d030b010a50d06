"""A web server on loopback that answers as told, also badly."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Reply:
    """How one request is answered."""

    status: int | None = None
    """Status of an error; None serves the file."""
    ranges: bool = True
    """Whether Range is honoured."""
    cut_after: int | None = None
    """Bytes of the body after which the connection is dropped."""
    hang: bool = False
    """Whether silence follows the cut instead of an end."""
    obey_if_range: bool = True
    """Whether a changed file is sent whole."""
    length: bool = True
    """Whether Content-Length is told."""
    content_type: str = "application/zip"
    location: str | None = None
    """Where the request is sent on to."""


@dataclass
class Host:
    """A web server with one file; `script` is used up request by request, the last reply stays."""

    content: bytes = bytes(range(256)) * 400
    etag: str | None = '"v1"'
    last_modified: str | None = None
    script: list[Reply] = field(default_factory=lambda: [Reply()])
    asked: list[dict[str, str]] = field(default_factory=list)
    after_request: Callable[["Host"], None] = lambda _: None
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Return the URL of the file."""
        return f"{self.scheme}://127.0.0.1:{self.port}/releases/Food%20Seg.zip"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        self.asked.append(dict(handler.headers.items()))
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        start = self._start(handler, reply)
        if reply.location is not None:
            handler.send_response(302)
            handler.send_header("Location", reply.location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif reply.status is not None:
            handler.send_error(reply.status)
        elif start is not None and start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            self._send(handler, reply, start)
        self.after_request(self)

    def _start(self, handler: BaseHTTPRequestHandler, reply: Reply) -> int | None:
        wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        if wanted is None or not reply.ranges:
            return None
        if condition and reply.obey_if_range and condition not in {self.etag, self.last_modified}:
            return None
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply, start: int | None) -> None:
        total, body = len(self.content), self.content[start or 0 :]
        handler.send_response(200 if start is None else 206)
        if start is not None:
            handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        for name, value in (("ETag", self.etag), ("Last-Modified", self.last_modified)):
            if value:
                handler.send_header(name, value)
        handler.send_header("Content-Type", reply.content_type)
        if reply.length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body if reply.cut_after is None else body[: reply.cut_after])
        if reply.hang:
            self.released.wait(10)


class _Server(ThreadingHTTPServer):
    """A server whose first connections may end during the TLS handshake."""

    daemon_threads = True
    broken_handshakes = 0
    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.broken_handshakes:
            self.broken_handshakes -= 1
            connection.recv(64)
            connection.close()
            raise ConnectionError("closed during the handshake")
        if self.context is not None:
            connection = self.context.wrap_socket(connection, server_side=True)
        return connection, address


def certificate(folder: Path) -> Path:
    """Write a certificate of 127.0.0.1 and its key, signed by itself, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now, address = datetime.now(UTC), x509.IPAddress(ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "host.pem").write_bytes(private + signed.public_bytes(encoding))
    return folder / "host.pem"


@contextmanager
def serving(*, certificate: Path | None = None, broken_handshakes: int = 0) -> Iterator[Host]:
    """Serve a file on loopback for the time of the block.

    Args:
        certificate: File of certificate and key; serves HTTPS.
        broken_handshakes: First connections that end during their handshake.
    """
    host = Host(scheme="http" if certificate is None else "https")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    server.broken_handshakes = broken_handshakes
    if certificate is not None:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(certificate)
    host.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        host.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
