"""Serve the page: to this computer alone unless told otherwise, with nothing fetched from anywhere else."""

import asyncio
import secrets
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.runtime.console import note
from pipeline.runtime.errors import ParamsError
from pipeline.serving.access import is_loopback
from pipeline.serving.app import make_app
from pipeline.serving.handlers import PageController

TOKEN_BYTES = 24
"""Random bytes of the token in the address."""
MAX_CONNECTIONS = 200
"""Beyond which requests are refused until some have ended."""
IDLE_SECONDS = 10
"""Between looks at a connection; one on which nothing was asked from one look to the next is ended."""


class IdleTimeoutProtocol(H11Protocol):
    """HTTP that hangs up on whoever connects and asks nothing, or never ends asking, to keep others out."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look."""
        super().connection_made(transport)
        self._look(None)

    def _look(self, before: object) -> None:
        now = None if self.cycle is None else (self.cycle, self.cycle.response_complete)
        if before is not None and before == (now,) and (now is None or now[1]):
            self.transport.close()
        elif not self.transport.is_closing():
            self.loop.call_later(IDLE_SECONDS, self._look, (now,))


SETTINGS: dict[str, Any] = {
    "http": IdleTimeoutProtocol,
    "loop": "asyncio",
    "ws": "none",
    "log_level": "critical",  # the page tells of its failures itself, in one line each
    "access_log": False,
    "proxy_headers": False,
    "server_header": False,
    "limit_concurrency": MAX_CONNECTIONS,
    "timeout_graceful_shutdown": 1,
}


def serve(controller: PageController, *, host: str, port: int, everybody: bool = False) -> None:
    """Answer until interrupted; nothing is written anywhere.

    Args:
        controller: What answers.
        host: Address to listen at; whoever reaches another one than loopback needs the token that is printed.
        port: Port; 0 takes a free one.
        everybody: Whether other computers get in without the token.

    Raises:
        ParamsError: If the address or port cannot be had.
    """
    token = None if everybody or is_loopback(host) else secrets.token_urlsafe(TOKEN_BYTES)
    with _listening(host, port) as listener:
        app = make_app(controller, host, token=token, port=listener.getsockname()[1])
        # Not by `note`, which hides secrets of URLs: this one is for whoever reads the terminal.
        entrance = address(listener) if token is None else f"{address(listener)}/?token={token}"
        print(f"{entrance}   (Ctrl+C ends it)", file=sys.stderr, flush=True)  # noqa: T201
        if not is_loopback(host):
            who = "everybody" if token is None else "whoever has this address with its token"
            note(
                f"--host {host}: {who} may give photos to the models and see the answers, from any computer that "
                "reaches this one; the connection is not encrypted"
            )
        try:
            uvicorn.Server(uvicorn.Config(app, **SETTINGS)).run(sockets=[listener])
        except KeyboardInterrupt:
            note("ended; nothing was kept")
            raise


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ParamsError(f"--host {host} --port {port}: {error.strerror or error}; choose another port") from error


def address(listener: socket.socket) -> str:
    """Return the page's address as a browser takes it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
