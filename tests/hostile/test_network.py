"""Only `download` and `weights` use the network, and only to reach the host that was named."""

import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.params.stages import DemoParams, DownloadParams
from tests.guarded import guarded, noted
from tests.unit.steps.test_download import OFFICIAL


def run(command: list[str], folder: Path, log: Path, root: Path, *allowed: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python command under guard."""
    env = os.environ | guarded(log, *allowed)
    env["PYTHONPATH"] += f"{os.pathsep}{root}"
    env["HF_HUB_OFFLINE"] = "0"  # tests of the web page, which wants no hub, may have run in this process
    return subprocess.run(  # noqa: S603
        [sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Serve a small archive on loopback."""
    (tmp_path / "web").mkdir()
    with zipfile.ZipFile(tmp_path / "web/Food.zip", "w") as archive:
        for name, body in OFFICIAL.items():
            archive.writestr(f"FoodSeg103/{name}", body)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/Food.zip"
    server.shutdown()
    thread.join()
    server.server_close()


def write_settings(folder: Path, source: str) -> None:
    """Write what stage `download` reads."""
    params = DownloadParams(
        source=source, sha256=None, password=None, max_gigabytes=1.0, max_files=100, attempts=1, timeout=2.0, extra={},
        demo=DemoParams(train_photos=1, test_photos=1, seed=0),
    )  # fmt: skip
    (folder / "data/settings").mkdir(parents=True)
    (folder / "data/settings/download.json").write_text(params.model_dump_json())
    (folder / "params.yaml").write_text("runtime: {workers: 1, device: cpu}\n")


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 80))",
        "socket.getaddrinfo('example.org', 443)",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "__import__('requests').get('https://example.org')",
    ],
)
def test_the_guard_sees_and_stops_every_way_out(attempt: str, tmp_path: Path, root: Path) -> None:
    """Else the other tests would prove nothing."""
    done = run(["-c", f"import socket\n{attempt}"], tmp_path, tmp_path / "log", root)
    assert done.returncode != 0
    assert "no network here" in done.stderr
    assert noted(tmp_path / "log", "refused")


def test_a_download_connects_to_its_host_alone(web: str, tmp_path: Path, root: Path) -> None:
    """The stage itself, in its own process."""
    write_settings(tmp_path, web)
    log = tmp_path / "log"
    done = run(["-m", "stages.download"], tmp_path, log, root, "127.0.0.1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data/source.json").is_file()
    assert {line.split()[-1] for line in noted(log, "allowed")} == {"127.0.0.1"}
    assert not noted(log, "refused")


def test_foodseg103_is_looked_for_at_its_authors_and_on_the_hub_alone(tmp_path: Path, root: Path) -> None:
    """Both are out of reach here; one line says so, and what else to try."""
    write_settings(tmp_path, "foodseg103")
    log = tmp_path / "log"
    done = run(["-m", "stages.download"], tmp_path, log, root)
    assert done.returncode == 1, done.stderr
    first, last = done.stderr.splitlines()
    assert first.endswith("; taking the copy EduardoPacheco/FoodSeg103 on the Hugging Face hub instead")
    assert "cannot be reached" in last
    assert "dvc exp run -S dataset=/path/FoodSeg103.zip" in last
    hosts = {line.split()[1] for line in noted(log, "refused")}
    assert hosts == {"research.larc.smu.edu.sg", "huggingface.co"}


def test_weights_of_the_hub_connect_to_the_hub_alone(tmp_path: Path, root: Path) -> None:
    """Nothing is tried beside the hub's own host, which is out of reach here, and the message says so in one line."""
    (tmp_path / "data/settings/backbones").mkdir(parents=True)
    settings = '{"timm": "test_vit.r160_in1k", "weights": "hub"}'
    (tmp_path / "data/settings/backbones/tiny.json").write_text(settings)
    (tmp_path / "params.yaml").write_text("runtime: {workers: 1, device: cpu}\n")
    log = tmp_path / "log"
    done = run(["-m", "stages.weights", "--backbone", "tiny"], tmp_path, log, root)
    assert done.returncode == 1, done.stderr
    assert "the hub cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    hosts = {line.split()[1] for line in noted(log, "refused")}
    assert hosts == {"huggingface.co"}
