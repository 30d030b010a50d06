"""A page that is really served: a process of its own, spoken to over HTTP."""

import http.client
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.hostile.pictures import chunk, compressed

ROOT = Path(__file__).parents[1]
BYTES = {"Content-Type": "application/octet-stream"}


@dataclass
class Answered:
    """What the page sent back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")


@dataclass
class Served:
    """A page, and the process that serves it."""

    address: str
    process: "subprocess.Popen[str]"
    printed: list[str] = field(default_factory=list)
    """Lines until it listened."""

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answered:
        """Send one request exactly as told: the path is not normalised. A body that is no bytes goes as JSON."""
        where = urlsplit(self.address)
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent = {"Content-Type": "application/json"} | sent
        line = http.client.HTTPConnection(str(where.hostname), where.port, timeout=60)
        try:
            line.putrequest(method, path, skip_host="Host" in sent, skip_accept_encoding=True)
            if body is not None and "Content-Length" not in sent:
                sent["Content-Length"] = str(len(body))
            for name, value in sent.items():
                line.putheader(name, value)
            line.endheaders(body)
            answer = line.getresponse()
            return Answered(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            line.close()

    def take(self, photo: bytes) -> dict[str, Any]:
        """Bring a photo; return what the page shows of it."""
        answer = self.ask("POST", "/photos", photo, BYTES)
        assert answer.status == 200, answer.text
        state: dict[str, Any] = json.loads(answer.body)
        return state

    def memory(self) -> int:
        """Return the bytes of memory that the process holds."""
        return self._memory("VmRSS")

    def highest_memory(self) -> int:
        """Return the most bytes of memory that the process held at once."""
        return self._memory("VmHWM")

    def _memory(self, line: str) -> int:
        if sys.platform != "linux":
            pytest.skip("this is not Linux")
        (kilobytes,) = re.findall(rf"{line}:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(kilobytes) * 1024


def _heed_signals() -> None:
    """Undo what a shell sets for a test runner in the background, which its children would inherit."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def served(run: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Serve a run for the time of the block, as a user would."""
    command = [sys.executable, "-m", "pipeline", "serve", "--run", str(run), "--port", "0", "--no-browser", *options]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | dict(env or {})
    process = subprocess.Popen(  # noqa: S603
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_signals,  # noqa: PLW1509 - tests of the page have no threads
    )
    assert process.stderr is not None
    printed: list[str] = []
    try:
        while not (found := re.search(r"http://[^/\s]+", printed[-1] if printed else "")):
            line = process.stderr.readline()
            assert line, "".join(printed)
            printed.append(line)
        if "--host" in options:
            printed.append(process.stderr.readline())
        yield Served(found.group(), process, printed)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


def png(height: int, width: int, *, colour: int | None = 0) -> bytes:
    """Return a PNG of one gray level, or of noise where `colour` is None."""
    if colour is None:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        return encoded(Image.fromarray(pixels), "PNG")
    rows = compressed(b"\0" + bytes([colour]) * 3 * width, height)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(picture: Image.Image, kind: str) -> bytes:
    """Return a picture as a file of a kind that Pillow writes."""
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()
