"""Serve the page: to this computer alone unless told otherwise, with nothing fetched from anywhere else."""

import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, NoReturn

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pipeline.console import note
from pipeline.errors import ParamsError
from pipeline.serving.contained_gradio import FOLDER
from pipeline.serving.contained_gradio import gradio as gr
from pipeline.serving.desk import Desk
from pipeline.serving.held_clicks import HELD_CLICKS
from pipeline.serving.page import STYLE, build_page

LARGEST_UPLOAD = "30mb"
ONLY_FROM_HERE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'none'; object-src 'none'"
)
"""The browser asks no other host for anything: this computer may have no network, and visitors no wish for it."""
FONTS = ["system-ui", "sans-serif"]


def make_app(desk: Desk, host: str) -> FastAPI:
    """Return the page as a web application.

    Args:
        desk: What answers.
        host: Address it will listen at; a loopback one refuses requests under other names, as DNS rebinding makes them.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", host])

    @app.middleware("http")
    async def contain(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        response.headers["Content-Security-Policy"] = ONLY_FROM_HERE
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    theme = gr.themes.Soft(font=FONTS, font_mono=["monospace"]).set(
        block_label_text_color="*neutral_800", block_label_text_color_dark="*neutral_100"
    )
    mounted: FastAPI = gr.mount_gradio_app(
        app, build_page(desk), path="/", theme=theme, css=STYLE, head=HELD_CLICKS, max_file_size=LARGEST_UPLOAD,
        show_error=False, footer_links=[], run_history=False, pwa=False, mcp_server=False, ssr_mode=False,
        enable_monitoring=False,
    )  # fmt: skip
    return mounted


def serve(desk: Desk, *, host: str, port: int) -> None:
    """Answer until interrupted; everything written is removed at the end.

    Args:
        desk: What answers.
        host: Address to listen at.
        port: Port; 0 takes a free one.

    Raises:
        ParamsError: If the address or port cannot be had.
    """
    signal.signal(signal.SIGTERM, _leave)
    try:
        with _listening(host, port) as ear:
            note(f"{address(ear)}   (Ctrl+C ends it)")
            if not is_loopback(host):
                note(f"--host {host}: everybody who reaches this address may use the page")
            settings: dict[str, Any] = {"log_level": "warning", "timeout_graceful_shutdown": 1}
            uvicorn.Server(uvicorn.Config(make_app(desk, host), **settings)).run(sockets=[ear])
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


def _leave(*_: object) -> NoReturn:
    """End by way of `finally`: a terminated page, too, leaves no file behind."""
    sys.exit(128 + signal.SIGTERM)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ParamsError(f"--host {host} --port {port}: {error.strerror or error}; choose another port") from error


def address(ear: socket.socket) -> str:
    """Return the page's address as a browser takes it."""
    host, port = ear.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether only this computer reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
