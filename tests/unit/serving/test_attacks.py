"""The page under attack, over HTTP: what a visitor, another web site or another program must not get out of it."""

import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from pipeline.models.card import RUN_CARD, WEIGHTS
from tests.guarded import guarded, noted
from tests.hostile.pictures import chunk, compressed
from tests.served_page import BYTES, ROOT, Served, encoded, png, served
from tests.skips import LINUX_ONLY
from tests.small_run import write_small_run

pytestmark = pytest.mark.slow

OWNERS = "a line that only its owner may read"
FOREIGN = ("http://evil.example", "http://127.0.0.1:1", "http://localhost:1", "null")
MEGABYTE = 2**20
PROXIES = {
    "ALL_PROXY": "socks5://127.0.0.1:9", "all_proxy": "socks5h://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "nonsense", "https_proxy": "nonsense",
}  # fmt: skip
"""Of a kind each: the page asks nobody, so that they change nothing."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of two branches."""
    return write_small_run(tmp_path_factory.mktemp("runs") / "vit+vit-all", ("roi", "extra_roi"))


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where a page would keep temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that names every connection which the page's process tried."""
    return tmp_path_factory.mktemp("log") / "guard.log"


@pytest.fixture(scope="module")
def page(run: Path, temporary: Path, log: Path) -> Iterator[Served]:
    """Serve a page under the guard, with proxies in its environment; it has written nothing at the end."""
    allowed = guarded(log, "127.0.0.1") | {"TMPDIR": str(temporary)} | PROXIES
    with served(run, env=allowed) as page:
        yield page
    assert list(temporary.iterdir()) == []


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file of the user that nobody else may read."""
    file = tmp_path / "secret.txt"
    file.write_text(OWNERS)
    file.chmod(0o600)
    return file


def gradio_joins(path: str) -> Iterator[dict[str, object]]:
    """Yield requests by which gradio's queue was made to read a file, one a function of the page."""
    for number in range(9):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        yield {"data": [file, "Box: two clicks"], "fn_index": number, "session_hash": "attack", "trigger_id": 1}


def everything_said(page: Served, path: str) -> Iterator[bytes]:
    """Try to get a file, or a URL, in every way known; yield all that the page answers."""
    bare = path.lstrip("/")
    dots = "../" * 12
    for prefix in ("", "/gradio_api"):
        for route in (f"file={path}", f"file/{bare}", f"proxy={path}", f"stream/{bare}", f"deep_link?x={path}"):
            yield page.ask("GET", f"{prefix}/{route}").body
        for join in gradio_joins(path):
            yield page.ask("POST", f"{prefix}/queue/join", join).body
            yield page.ask("POST", f"{prefix}/api/predict", join).body
        yield page.ask("POST", f"{prefix}/component_server", {"data": path, "fn_name": "ls", "component_id": 1}).body
    for trick in (
        f"/{dots}{bare}", f"/page.js/{dots}{bare}", f"/static/{dots}{bare}", f"//{bare}", f"/samples/{dots}{bare}",
        f"/{dots.replace('.', '%2e')}{bare}", f"/{dots.replace('/', '%2f')}{bare}", f"/..%5c..%5c{bare}",
        f"/%252e%252e/{bare}", f"/page.js%00{path}", f"/page.js?{path}", f"file://{path}", f"/photos/{dots}{bare}",
        f"/photos/x/0/{dots}{bare}/image.webp", f"/photos/x/0/%2e%2e%2f{bare}/image.webp",
    ):  # fmt: skip
        yield page.ask("GET", trick).body
    state = page.take(png(30, 40))
    for kind in ("click", "box", "painting", "heat", "foods", "label-map"):
        for body in ({"path": path}, {"way": "box", "x": path, "y": 0}, [path], path):
            yield page.ask("POST", f"/photos/{state['photo']}/{kind}", body).body
    yield page.ask("POST", "/photos", {"path": path}).body
    yield page.ask("POST", "/photos", path.encode(), BYTES).body
    yield page.ask("POST", "/samples", {"number": path}).body


def test_no_file_of_the_computer_is_read(page: Served, secret: Path) -> None:
    """Whatever route or trick names it; a link to it helps nobody either."""
    link = secret.with_name("link.png")
    link.symlink_to(secret)
    for path in (str(secret), str(link), secret.as_uri(), "/proc/self/environ", "/proc/self/cmdline"):
        said = b"".join(everything_said(page, path))
        for unwanted in (OWNERS.encode(), b"PYTHONUNBUFFERED", b"--port"):
            assert unwanted not in said


def test_gradio_s_way_to_any_file_is_closed(page: Served, secret: Path) -> None:
    """A file that a request names is copied nowhere from which it can be fetched."""
    headers = {"Accept": "text/event-stream"}
    found = []
    for join in gradio_joins(str(secret)):
        if page.ask("POST", "/gradio_api/queue/join", join).status != 200:
            continue
        said = page.ask("GET", "/gradio_api/queue/data?session_hash=attack", headers=headers).text
        found += [word for word in said.replace("\\", " ").replace("'", " ").replace('"', " ").split() if "/" in word]
    fetched = [page.ask("GET", f"/gradio_api/file={path.rstrip(':;,')}").text for path in found]
    assert OWNERS not in fetched


def test_an_endless_file_stops_nobody(page: Served) -> None:
    """Others are answered while somebody names /dev/zero or a pipe."""
    for join in gradio_joins("/dev/zero"):
        page.ask("POST", "/gradio_api/queue/join", join)
    begun = time.monotonic()
    assert page.ask("GET", "/").status == 200
    assert time.monotonic() - begun < 10


def test_samples_cannot_be_deleted_or_replaced(page: Served) -> None:
    """They are the same bytes after whatever was asked."""
    before = page.ask("GET", "/samples/0/image.webp").body
    assert before.startswith(b"RIFF")
    for method in ("DELETE", "PUT", "POST", "PATCH", "MOVE"):
        for path in ("/samples/0/image.webp", "/samples/0", "/samples", "/photos/..%2fsamples%2f0", "/photos/0"):
            page.ask(method, path, b"x", BYTES)
    assert page.ask("GET", "/samples/0/image.webp").body == before
    assert page.ask("GET", f"/samples/{'9' * 5000}/image.webp").status == 404
    for number in (-1, 3, 99, 10**30, "9" * 3000):
        assert page.ask("GET", f"/samples/{number}/image.webp").status == 404
        assert page.ask("POST", "/samples", {"number": number}).status == 422


@pytest.mark.parametrize(
    "path",
    [
        "/config", "/info", "/gradio_api/info", "/gradio_api/upload", "/gradio_api/queue/join", "/upload",
        "/gradio_api/queue/data",
        "/gradio_api/heartbeat/a", "/gradio_api/reset", "/gradio_api/cancel", "/gradio_api/component_server", "/login",
        "/gradio_api/deep_link", "/theme.css", "/robots.txt", "/monitoring", "/docs", "/redoc", "/openapi.json",
        "/static/img/logo.svg", "/assets/index.js", "/manifest.json", "/dev/reload", "/queue/join", "/logout",
        "/PAGE.JS", "/page.js/", "//", "/photos/", "/templates/page.html.j2", "/app.py", "/.git/config", "/favicon.ico",
    ],
)  # fmt: skip
def test_only_routes_that_the_page_uses_exist(page: Served, path: str) -> None:
    """Everything else is not there, whatever the method."""
    for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"):
        assert page.ask(method, path).status in {404, 405}
    assert page.ask("GET", path).status == 404


def test_no_method_beyond_those_of_the_page_is_answered(page: Served) -> None:
    """Nor does any answer allow another origin to read it."""
    for path in ("/", "/page.js", "/photos", "/samples"):
        for method in ("OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND"):
            answer = page.ask(method, path)
            assert answer.status in {400, 404, 405}
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_page_connects_nowhere(page: Served, log: Path) -> None:
    """No host is looked up or asked, no proxy either, whoever names one; the guard writes down even what fails."""
    for url in ("http://attacker.example/x.png", "https://127.0.0.2/x.png", "ftp://attacker.example/x"):
        for _ in everything_said(page, url):
            pass
        page.ask("GET", "/", headers={"X-Forwarded-For": "attacker.example", "X-Forwarded-Host": "attacker.example"})
    assert noted(log, "guarded")
    assert noted(log, "refused") == []


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(("method", "path"), [("POST", "/photos"), ("POST", "/samples"), ("GET", "/page.js")])
def test_another_site_may_not_ask(page: Served, origin: str, method: str, path: str) -> None:
    """Not another port of this computer either."""
    for headers in ({"Origin": origin}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert page.ask(method, path, png(9, 9), BYTES | headers).status == 403


def test_another_site_may_not_read_a_photo(page: Served) -> None:
    """Nor may it show one in its own document, or put the page into a frame."""
    state = page.take(png(30, 40))
    shown = state["pictures"]["shown"]
    assert page.ask("GET", shown, headers={"Sec-Fetch-Site": "same-origin"}).status == 200
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        assert page.ask("GET", shown, headers=headers).status == 403
    answer = page.ask("GET", shown)
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.ask("GET", "/").headers["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7", "localhost@evil.example", "", "["]
)
def test_another_name_for_this_computer_is_refused(page: Served, host: str) -> None:
    """DNS rebinding: a name of the attacker that leads here."""
    assert page.ask("GET", "/", headers={"Host": host}).status == 400
    assert page.ask("POST", "/photos", png(9, 9), BYTES | {"Host": host}).status == 400


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_what_a_form_can_send_is_refused(page: Served, kind: str) -> None:
    """A form of another site can send these without asking; a page that names no origin does not get in by them."""
    assert page.ask("POST", "/photos", png(9, 9), {"Content-Type": kind}).status == 415
    assert page.ask("POST", "/samples", b'{"number": 0}', {"Content-Type": kind}).status == 415


def test_a_photo_is_its_own_visitor_s(page: Served) -> None:
    """Names of photos cannot be guessed, and no list of them is given."""
    names = [page.take(png(20, 30))["photo"] for _ in range(3)]
    assert len(set(names)) == 3
    assert min(map(len, names)) >= 43  # 256 bits
    for guess in ("", "a", names[0][:-1], names[0] + "A", names[0].swapcase(), "*", "%2a", "x" * 5000):
        answer = page.ask("GET", f"/photos/{guess}/0/shown/image.webp")
        assert answer.status in {400, 404}
        assert b"RIFF" not in answer.body
        assert page.ask("POST", f"/photos/{guess}/heat", {}).status in {400, 404}
    assert page.ask("DELETE", f"/photos/{names[0]}").status == 200
    assert page.ask("GET", f"/photos/{names[0]}/0/shown/image.webp").status == 404
    assert page.ask("GET", f"/photos/{names[1]}/0/shown/image.webp").status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 3999, b'{"a":' * 600, b"9" * 3999, b"", b"null", b"\xff\xfe", b'{"way":"box","x":NaN,"y":0}',
        b'{"way":"box","x":1e999,"y":0}', b'{"way":"box","x":-0.1,"y":0}', b'{"way":"box","x":1.01,"y":0}',
        b'{"way":"box","x":true,"y":0}', b'{"way":"box","x":"0.5","y":0}', b'{"way":"eval","x":0,"y":0}',
        b'{"way":"box","x":0,"y":0,"more":1}', b'{"left":1,"top":NaN,"right":3,"bottom":4}',
        b"\x80\x04cposix\nsystem\n",
    ],
)  # fmt: skip
def test_odd_bodies_are_refused_in_one_line(page: Served, body: bytes) -> None:
    """Deep, huge, not finite, of another type, with more than was asked for, or no JSON at all."""
    name = page.take(png(30, 40))["photo"]
    for path in (*(f"/photos/{name}/{kind}" for kind in ("click", "box", "foods")), "/samples"):
        answer = page.ask("POST", path, body, {"Content-Type": "application/json"})
        assert answer.status == 422
        assert answer.text.count("\n") <= 1
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "edges", [(180, 25, 75, 75), (25, -1, 75, 75), (25, 25, 1e300, 75), (25, 25, 75, 100.5), (50, 50, 50, 50)]
)
def test_a_number_outside_the_photo_is_one_line(page: Served, edges: tuple[float, ...]) -> None:
    """And the photo is as it was: the next box is answered."""
    name = page.take(png(200, 300, colour=None))["photo"]
    box = dict(zip(("left", "top", "right", "bottom"), edges, strict=True))
    refused = page.ask("POST", f"/photos/{name}/box", box)
    assert refused.status == 422
    assert "percent" in refused.text or "no inside" in refused.text
    after = page.ask("POST", f"/photos/{name}/box", {"left": 10, "top": 10, "right": 90, "bottom": 90})
    assert len(json.loads(after.body)["answers"]) == 1


@cache
def uploads() -> dict[str, bytes]:
    """Return files that must not be decoded."""
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%stdin) (r) file\nshowpage\n"
    vector = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    return {
        "81 megapixels": png(9000, 9000),
        "41 megapixels": png(6400, 6407),
        "EPS": postscript,
        "PDF": b"%PDF-1.4\n",
        "SVG": vector,
        "ICO": encoded(Image.new("RGB", (16, 16)), "ICO"),
        "a pickle": b"\x80\x04cposix\nsystem\n(X\x04\x00\x00\x00true\x85R.",
        "half a PNG": png(300, 300, colour=None)[:4000],
        "nothing": b"",
    }


@pytest.mark.parametrize("kind", uploads())
def test_a_file_that_is_no_photo_is_one_line_at_every_door(page: Served, kind: str) -> None:
    """Uploads and paintings: too many pixels, formats that start other programs, damage; little memory is used."""
    file, before = uploads()[kind], page.memory()
    name = page.take(png(300, 400))["photo"]
    for path in ("/photos", f"/photos/{name}/painting", f"/photos/{name}/label-map"):
        answer = page.ask("POST", path, file, BYTES)
        assert answer.status == 422
        assert re.match("This file|The painting|This label map", answer.text)
        assert " cannot be used: " in answer.text
        assert "\n" not in answer.text
        assert "Traceback" not in answer.text
    assert page.memory() - before < 60 * MEGABYTE


def tiff(body: bytes, tags: Sequence[tuple[int, int]]) -> bytes:
    """Return a TIFF with something at byte 8, and numbers as tags; a tag from 40000 on names all of the body."""
    entries = b"".join(
        struct.pack("<HHII", tag, 7, number, 8) if tag >= 40000 else struct.pack("<HHII", tag, 4, 1, number)
        for tag, number in tags
    )
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags)) + entries + bytes(4)


@cache
def bombs() -> dict[str, bytes]:
    """Return small files that a decoder makes much of."""
    overlapping = tiff(bytes(4 * MEGABYTE), [(256, 9), (257, 9), *((40000 + tag, 4 * MEGABYTE) for tag in range(60))])
    tile = compressed(bytes(3 * 9000), 9000)
    tiles = {256: 16, 257: 16, 258: 8, 259: 8, 262: 2, 277: 3, 284: 1, 322: 9000, 323: 9000, 324: 8, 325: len(tile)}
    skip = b"\0\2\0\x28\0\1"  # 40 rows on
    run_length = struct.pack("<IiiHHIIiiII", 40, 4_000_000, 1, 1, 8, 1, len(skip), 0, 0, 256, 0) + bytes(1024) + skip
    gray, animation = png(9, 9), encoded(Image.new("P", (8, 8)), "GIF")
    table = 13 + (3 << (animation[10] & 7) + 1 if animation[10] & 128 else 0)
    comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 24_000 + b"\0"
    file = io.BytesIO()
    Image.new("L", (3000, 3000)).save(file, "JPEG", progressive=True)
    scan = file.getvalue()[file.getvalue().rindex(b"\xff\xda") : -2]
    segment = tiff(bytes(30_000), [(40000 + tag, 30_000) for tag in range(2500)])
    segment = b"\xff\xe1" + struct.pack(">H", len(segment) + 8) + b"Exif\0\0" + segment
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "JPEG", dpi=(72, 72))
    photo = small.getvalue()
    return {
        "TIFF whose tags all name the same bytes": overlapping,
        "PNG with such EXIF": gray[:33] + chunk(b"eXIf", overlapping) + gray[33:],
        "PNG with such EXIF at its end": gray[:-12] + chunk(b"eXIf", overlapping) + gray[-12:],
        "JPEG with such EXIF": photo[:2] + segment + photo[2:],
        "TIFF with one huge tile": tiff(tile, sorted(tiles.items())),
        "run-length BMP that skips rows": b"BM" + struct.pack("<IHHI", 1078 + len(skip), 0, 0, 1078) + run_length,
        "GIF with a long comment": animation[:table] + comment + animation[table:],
        "PNG of empty chunks": gray[:33] + chunk(b"abCd", b"") * 600_000 + gray[33:],
        "JPEG of many scans": file.getvalue()[:-2] + scan * 1500 + b"\xff\xd9",
        "PNG of 40,000,000 x 1": b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000_000, 1, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", compressed(bytes(754_717), 53))
        + chunk(b"IEND", b""),
    }


@LINUX_ONLY
@pytest.mark.parametrize("kind", bombs())
def test_a_small_file_costs_little(page: Served, kind: str) -> None:
    """Files that a decoder would take gigabytes or minutes for are refused in a line, before it begins."""
    page.take(png(300, 400))
    Path(f"/proc/{page.process.pid}/clear_refs").write_text("5")  # forget the highest memory until now
    before, begun = page.memory(), time.monotonic()
    answer = page.ask("POST", "/photos", bombs()[kind], BYTES)
    assert answer.status == 422
    assert answer.text.startswith("This file cannot be used: ")
    assert "\n" not in answer.text
    assert page.highest_memory() - before < 60 * MEGABYTE
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(("height", "width"), [(1, 1), (299, 400), (400, 300), (3000, 4000)])
def test_a_painting_has_the_size_of_the_photo_shown(page: Served, height: int, width: int) -> None:
    """And comes as PNG; one that has is answered."""
    name = page.take(png(300, 400, colour=None))["photo"]
    path = f"/photos/{name}/painting"
    assert page.ask("POST", path, png(height, width, colour=255), BYTES).status == 422
    assert page.ask("POST", path, encoded(Image.new("RGB", (400, 300), "white"), "BMP"), BYTES).status == 422
    assert "Nothing is painted" in page.ask("POST", path, png(300, 400), BYTES).text
    assert page.ask("POST", path, png(300, 400, colour=255), BYTES).status == 200


def test_requests_are_bounded(page: Served) -> None:
    """By what they announce, and by what they send."""
    for path in ("/photos", "/photos/x/painting", "/samples", "/gradio_api/upload", "/"):
        assert page.ask("POST", path, b"\0" * 32_000_000, BYTES).status == 413
    for length in ("99999999999999999999", "31000000"):
        assert page.ask("POST", "/photos", b"", BYTES | {"Content-Length": length}).status == 413
    assert page.ask("POST", "/samples", b" " * 4001, {"Content-Type": "application/json"}).status == 413
    where = urlsplit(page.address)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=60) as line:
        line.sendall(
            f"POST /photos HTTP/1.1\r\nHost: localhost\r\nContent-Type: {BYTES['Content-Type']}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        part = b"100000\r\n" + b"\0" * MEGABYTE + b"\r\n"
        try:
            for _ in range(40):
                line.sendall(part)
        except OSError:
            pass  # it hung up
        assert line.recv(200).startswith(b"HTTP/1.1 413")


def test_slow_and_silent_visitors_stop_nobody(page: Served) -> None:
    """A body that trickles in, a request that never ends, a line on which nothing is said."""
    where = urlsplit(page.address)
    lines = [socket.create_connection((str(where.hostname), where.port or 0), timeout=60) for _ in range(30)]
    try:
        for line in lines[:20]:
            line.sendall(b"POST /photos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n")
        for line in lines[:10]:
            line.sendall(b"Content-Type: application/octet-stream\r\n\r\n\x89PNG")
        begun = time.monotonic()
        assert page.take(png(30, 40))["photo"]
        assert time.monotonic() - begun < 10
    finally:
        for line in lines:
            line.close()


def test_web_sockets_and_ranges_get_nothing_special(page: Served) -> None:
    """An upgrade is ignored; a range is answered whole."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "eA==",
    }
    assert page.ask("GET", "/queue/join", headers=upgrade).status == 404
    whole = page.ask("GET", "/samples/0/image.webp")
    for asked in ("bytes=0-1", "bytes=-1", "bytes=0-1,2-3," + "4-5," * 500, "bytes=99999999999-"):
        assert page.ask("GET", "/samples/0/image.webp", headers={"Range": asked}).body == whole.body


def test_many_photos_are_held_in_bounded_memory(page: Served) -> None:
    """The oldest goes first, and its visitor is told; the newest works."""
    first = page.take(png(20, 30))["photo"]
    large = png(6000, 6600)
    names = [page.take(large)["photo"] for _ in range(3)]
    before = page.memory()
    names += [page.take(large)["photo"] for _ in range(3)]
    assert page.memory() - before < 300 * MEGABYTE
    gone = page.ask("POST", f"/photos/{first}/heat", {})
    assert (gone.status, gone.text) == (404, "This photo is no longer here; choose it again")
    assert page.ask("GET", f"/photos/{names[-1]}/0/shown/image.webp").status == 200
    names += [page.take(png(20, 30))["photo"] for _ in range(40)]
    held = [name for name in names if page.ask("GET", f"/photos/{name}/0/shown/image.webp").status == 200]
    assert held == names[-len(held) :]
    assert len(held) <= 32


@LINUX_ONLY
def test_nothing_is_written_while_the_page_is_used(page: Served, temporary: Path) -> None:
    """Neither an upload nor a picture: a kill leaves nothing behind, because there is nothing."""
    name = page.take(png(200, 300, colour=None))["photo"]
    page.ask("POST", f"/photos/{name}/box", {"left": 10, "top": 10, "right": 90, "bottom": 90})
    assert page.ask("POST", f"/photos/{name}/heat", {}).status == 200
    assert list(temporary.iterdir()) == []
    opened = [path.readlink() for path in Path(f"/proc/{page.process.pid}/fd").iterdir() if path.is_symlink()]
    assert [str(path) for path in opened if "deleted" in str(path) or str(temporary) in str(path)] == []


def test_silent_lines_do_not_keep_others_out(page: Served) -> None:
    """As many as the page takes, on which nothing, or no whole request, is said; they are ended."""
    where = urlsplit(page.address)
    lines = [socket.create_connection((str(where.hostname), where.port or 0), timeout=60) for _ in range(201)]
    try:
        for line in lines[:100]:
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        ends = time.monotonic() + 40
        while page.ask("GET", "/").status == 503:
            assert time.monotonic() < ends, "nobody else gets in"
            time.sleep(1)
    finally:
        for line in lines:
            line.close()
    while page.ask("GET", "/").status == 503:  # it has not seen yet that they are closed
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_a_page_of_another_site_leads_to_nothing_but_the_document(page: Served) -> None:
    """By the one thing that an old browser says of where a request comes from."""
    for referrer in (
        "http://evil.example/",
        "http://127.0.0.1:1/",
        f"{page.address}.evil.example/",
        f"{page.address}@x/",
    ):
        for path in ("/photos", "/samples"):
            answer = page.ask("POST", path, png(9, 9), BYTES | {"Referer": referrer})
            assert answer.status == 403
        assert page.ask("GET", "/samples/0/image.webp", headers={"Referer": referrer}).status == 403
        assert page.ask("GET", "/", headers={"Referer": referrer}).status == 200
    assert page.ask("GET", "/page.js", headers={"Referer": f"{page.address}/"}).status == 200


def ended(page: Served, how: signal.Signals, folder: Path, *, cookie: str = "") -> None:
    """End a page while somebody is connected and the models are at work: it says so in a line and leaves nothing."""
    key = f"Cookie: {cookie}\r\n"
    name = json.loads(page.ask("POST", "/photos", png(200, 300, colour=None), BYTES | {"Cookie": cookie}).body)["photo"]
    where = urlsplit(page.address)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=60) as tab:
        tab.sendall(f"GET /photos/{name}/0/shown/image.webp HTTP/1.1\r\nHost: localhost\r\n{key}\r\n".encode())
        assert tab.recv(100).startswith(b"HTTP/1.1 200")
        body = b'{"left": 10, "top": 10, "right": 90, "bottom": 90}'
        with socket.create_connection((str(where.hostname), where.port or 0), timeout=60) as busy:
            head = f"POST /photos/{name}/box HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{key}"
            busy.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            page.process.send_signal(how)
            _, printed = page.process.communicate(timeout=30)
    assert printed == ("ended; nothing was kept\n" if how is signal.SIGINT else "")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("host", "how"), [("0.0.0.0", signal.SIGINT), ("::", signal.SIGTERM)])  # noqa: S104 - tested
def test_others_need_the_token(run: Path, tmp_path: Path, host: str, how: signal.Signals) -> None:
    """It is printed with what it allows; a wrong one, or none, opens nothing."""
    with served(run, "--host", host, env={"TMPDIR": str(tmp_path)}) as page:
        address = next(line for line in page.printed if "token=" in line).split()[0]
        assert f"there as http://{socket.gethostname()}:" in page.printed[-1]
        token = address.partition("token=")[2]
        assert len(token) >= 32
        assert "whoever has this address" in page.printed[-1]
        for path in ("/", "/page.js", "/samples/0/image.webp", "/?token=", "/?token=a", f"/page.js?token={token}"):
            assert page.ask("GET", path).status == 401
        assert page.ask("POST", "/photos", png(9, 9), BYTES).status == 401
        entered = page.ask("GET", f"/?token={token}")
        assert entered.status == 200
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        key = {"Cookie": f'other="x; {cookie.partition(";")[0]}'}
        assert page.ask("GET", "/page.js", headers=key).status == 200
        assert page.ask("POST", "/photos", png(9, 9), BYTES | key | {"Origin": "http://evil.example"}).status == 403
        ended(page, how, tmp_path, cookie=cookie.partition(";")[0])


def test_open_says_what_others_may(run: Path, tmp_path: Path) -> None:
    """Everybody gets in; another name of this computer, and another site, still does not."""
    with served(run, "--host", "0.0.0.0", "--open", env={"TMPDIR": str(tmp_path)}) as page:  # noqa: S104
        assert "everybody" in page.printed[-1]
        assert page.ask("GET", "/").status == 200
        assert page.ask("GET", "/", headers={"Host": "evil.example"}).status == 400
        assert page.ask("GET", "/page.js", headers={"Sec-Fetch-Site": "cross-site"}).status == 403
        ended(page, signal.SIGHUP, tmp_path)


@LINUX_ONLY
def test_the_browser_opens_the_address_that_is_printed(run: Path, tmp_path: Path) -> None:
    """Where there is a display; the other tests' pages open none. Killed, it leaves nothing, as one that is ended."""
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o700)
    (tmp_path / "temporary").mkdir()
    environment = {"DISPLAY": ":9", "BROWSER": str(browser), "TMPDIR": str(tmp_path / "temporary")}
    with served(run, "--browser", env=environment) as page:
        until = time.monotonic() + 30
        while not opened.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert opened.read_text().strip() == page.address
        assert page.ask("GET", "/").status == 200
        ended(page, signal.SIGKILL, tmp_path / "temporary")


def test_a_failed_start_leaves_nothing(tmp_path: Path) -> None:
    """A port that is taken: one line, no folder; it is said before the run is loaded, which this one cannot be."""
    run, temporary = tmp_path / "run", tmp_path / "temporary"
    for folder in (run, temporary):
        folder.mkdir()
    for name in (RUN_CARD, WEIGHTS):
        (run / name).touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "pipeline", "serve", "--run", str(run), "--port", port]
        env = os.environ | {"TMPDIR": str(temporary)}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"--port {port}" in done.stderr
    assert list(temporary.iterdir()) == []
