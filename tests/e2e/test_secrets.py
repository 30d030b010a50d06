"""A secret of a URL is refused before it is stored, and one given by the environment is written nowhere."""

import base64
import http.client
import subprocess
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.url_secrets import VARIABLE
from tests.e2e.checkout import Checkout, checkout
from tests.raw_folder import OFFICIAL

pytestmark = pytest.mark.e2e
USER, PLANTED = "me", f"PLANTED-{2026}"  # not as it stands here: this file is copied, too
LOGIN, SIGNATURE = f"{USER}:{PLANTED}@", f"X-Amz-Signature={PLANTED}"


class Guarded(SimpleHTTPRequestHandler):
    """Serves a folder to whoever logs in, or has the signature."""

    def do_GET(self) -> None:
        """Answer only with the secret."""
        login = "Basic " + base64.b64encode(f"{USER}:{PLANTED}".encode()).decode()
        if self.headers.get("Authorization") == login or SIGNATURE in self.path:
            super().do_GET()
        else:
            self.send_error(http.client.UNAUTHORIZED)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def guarded_archive(folder: Path) -> Iterator[str]:
    """Serve a small data set and return host and path of its URL."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "Food.zip", "w") as archive:
        for name, content in OFFICIAL.items():
            archive.writestr(name, content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Guarded, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}/Food.zip"
    server.shutdown()
    thread.join()
    server.server_close()


def tell(folder: Path) -> list[str]:
    """Return the files at or below a folder that hold the secret, objects of git included."""
    told = []
    for path in folder.parent.rglob("*"):  # DVC's own files lie beside the copy
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if ".git/objects" in path.as_posix() and content[:1] == b"x":
                content = zlib.decompress(content)
            if PLANTED.encode() in content or PLANTED in path.name:
                told.append(str(path.relative_to(folder.parent)))
    return sorted(told)


@pytest.fixture
def copy(tmp_path: Path) -> Checkout:
    """Return a checkout in a folder of its own."""
    (tmp_path / "work").mkdir()
    return checkout(tmp_path / "work/copy", NETRC="/dev/null")


@pytest.mark.parametrize("command", [("dvc", "repro"), ("dvc", "exp", "run"), ("dvc", "exp", "run", "--temp")])
def test_a_secret_in_a_setting_is_refused_before_anything_is_stored(copy: Checkout, command: tuple[str, ...]) -> None:
    """By hand or by -S; what the message says to do leaves no byte of it."""
    overrides = [f"dataset=https://{LOGIN}127.0.0.1:1/a.zip", f"runtime.mirror=s3://{LOGIN}bucket/study"]
    if command == ("dvc", "repro"):
        params = copy.folder / "params.yaml"
        text = params.read_text(encoding="utf-8")
        params.write_text(text.replace("dataset: demo ", f'dataset: "https://h/a?{SIGNATURE}" '), encoding="utf-8")
        output = copy.refused(*command, "configure")
    else:
        output = copy.refused(*command, *(part for text in overrides for part in ("-S", text)), "configure")
    assert "export RVERNET_URLS" in output
    assert "git checkout -- params.yaml && git gc --prune=now" in output
    assert PLANTED not in output
    assert [path for path in (copy.folder / "data").rglob("*") if path.is_file()] == []
    assert not (copy.folder / "dvc.lock").exists()
    assert not list((copy.folder / ".dvc").rglob("cache/files/*/*/*"))
    assert copy.call("dvc", "exp", "list", "--name-only").split() == []
    copy.call("git", "checkout", "--", "params.yaml")
    copy.call("git", "gc", "-q", "--prune=now")
    assert tell(copy.folder) == []
    assert PLANTED.encode() not in all_of_git(copy)


def all_of_git(copy: Checkout) -> bytes:
    """Return the content of every object, packed ones too."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"]
    return subprocess.run(command, cwd=copy.folder, env=copy.env, capture_output=True, check=True).stdout  # noqa: S603


@pytest.mark.parametrize("kind", ["login", "signature", "netrc"])
def test_a_secret_in_the_environment_fetches_and_is_written_nowhere(tmp_path: Path, kind: str) -> None:
    """Not data, lock, caches, git nor output; without it the host refuses, and the message says what to do."""
    (tmp_path / "work").mkdir()
    with guarded_archive(tmp_path / "web") as place:
        url = f"http://{place}"
        whole = f"http://{LOGIN}{place}" if kind == "login" else f"{url}?{SIGNATURE}"
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login {USER} password {PLANTED}\n", encoding="utf-8")
        netrc.chmod(0o600)
        secret = {"NETRC": str(netrc)} if kind == "netrc" else {VARIABLE: f"https://elsewhere/a {whole}"}
        copy = checkout(tmp_path / "work/copy", NETRC="/dev/null")
        override = ("-S", f"dataset={url}", "download")
        refused = copy.refused("dvc", "exp", "run", *override)
        assert "HTTP 401" in refused
        assert VARIABLE in refused
        output = Checkout(copy.folder, copy.env | secret).call("dvc", "exp", "run", *override)
    assert PLANTED not in output
    assert (copy.folder / "data/raw/category_id.txt").read_bytes() == OFFICIAL["category_id.txt"]
    assert url in (copy.folder / "data/settings/download.json").read_text(encoding="utf-8")
    assert copy.call("dvc", "exp", "list", "--name-only").split() != []
    assert tell(copy.folder) == []
    assert PLANTED.encode() not in all_of_git(copy)
