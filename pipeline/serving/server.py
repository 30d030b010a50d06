"""Serve the page, by default to this computer alone; nothing is fetched from other hosts."""

import asyncio
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from functools import partial

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.runtime.console import note
from pipeline.serving.access import is_loopback, listen
from pipeline.serving.app import make_app
from pipeline.serving.handlers import PageController

INTERRUPTED = 130  # exit code
IDLE_SECONDS = 10  # interval of checks of a connection; one without a request between two checks is closed


class IdleTimeoutProtocol(H11Protocol):
    """HTTP that closes connections without a request, or with one that never ends, which would keep others out."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the checks."""
        super().connection_made(transport)
        self._check_idle(None)

    def _check_idle(self, before: object) -> None:
        now = None if self.cycle is None else (self.cycle, self.cycle.response_complete)
        if before is not None and before == (now,) and (now is None or now[1]):
            self.transport.close()
        elif not self.transport.is_closing():
            self.loop.call_later(IDLE_SECONDS, self._check_idle, (now,))


def serve(  # noqa: PLR0913 - one argument an option
    controller: PageController,
    *,
    host: str,
    port: int,
    everybody: bool = False,
    browser: bool = False,
    labelling: Callable[..., Starlette] | None = None,
) -> None:
    """Serve the page of runs, see `run_app`; only `labelling`, a page beside it, writes to disk."""
    may, end = "give photos to the models and see the answers", "ended; nothing was kept"
    if labelling is not None:
        may, end = f"{may}, and label the photos of --label", "ended; all labels are stored"
    make = partial(make_app, controller, labelling=labelling)
    run_app(make, host, port, everybody=everybody, browser=browser, may=may, end=end)


def run_app(  # noqa: PLR0913 - one argument an option
    make: Callable[..., Starlette], host: str, port: int, *, everybody: bool, browser: bool, may: str, end: str
) -> None:
    """Serve an application until interrupted.

    Args:
        make: Returns the application for a host, a token and a port.
        host: Address to listen at; others than loopback require the printed token.
        port: Port; 0 takes a free one.
        everybody: Require no token.
        browser: Open the page where there is a display, on loopback alone: a browser's command line would show the
            token.
        may: What visitors may do, in words.
        end: What is printed at the end.

    Raises:
        ParamsError: If the port is taken.
    """
    token = None if everybody or is_loopback(host) else secrets.token_urlsafe(24)
    with listen(host, port) as sock:
        app = make(host, token=token, port=sock.getsockname()[1])
        # Not by `note`, which hides secrets of URLs: the terminal's reader needs this one.
        query = "" if token is None else f"/?token={token}"
        print(f"{address(sock)}{query}   (Ctrl+C ends it)", file=sys.stderr, flush=True)  # noqa: T201
        if not is_loopback(host):
            who = "everybody" if token is None else "whoever has this address with its token"
            here = f"http://{socket.gethostname()}:{sock.getsockname()[1]}"
            note(
                f"--host {host}: {who} may {may}, from any computer that reaches this one, there as {here}{query}; the "
                "connection is not encrypted"
            )
        # A browser of a terminal would take the terminal over.
        elif browser and (sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))):
            threading.Thread(target=webbrowser.open, args=(address(sock),), daemon=True).start()
        config = uvicorn.Config(
            app,
            http=IdleTimeoutProtocol,
            loop="asyncio",
            ws="none",
            log_level="critical",  # the application reports errors itself
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=200,  # further requests are refused
            timeout_graceful_shutdown=1,
        )
        try:
            uvicorn.Server(config).run(sockets=[sock])
        except KeyboardInterrupt:
            note(end)
            sys.exit(INTERRUPTED)


def address(sock: socket.socket) -> str:
    """Return the URL of the page for a browser on this computer, whatever addresses it listens at."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a name, not a place to listen at
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
