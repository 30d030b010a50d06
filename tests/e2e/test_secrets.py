"""A secret of a URL is refused before it is stored, and one given by the environment is written nowhere.

The graph that shows it runs on an archive in COCO's format.
"""

import base64
import http.client
import json
import shutil
import subprocess
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import safetensors.torch
import timm
from ruamel.yaml import YAML

from pipeline.datasets.index import read_samples
from pipeline.models import demo_backbones  # noqa: F401 - timm knows them from here on
from pipeline.params.run_name import FUSIONS
from pipeline.runtime.errors import URLS_VARIABLE
from tests.coco_folder import CocoFolder, box_mask, polygon, rle
from tests.e2e.checkout import Checkout, checkout, keep_runs
from tests.raw_folder import OFFICIAL

pytestmark = pytest.mark.e2e
USER, PLANTED = "me", f"PLANTED+{2026}=!"  # not as it stands here: this file is copied, too
LOGIN, SIGNATURE = f"{USER}:{quote(PLANTED, safe='')}@", f"X-Amz-Signature={quote(PLANTED, safe='')}"


def forms() -> list[bytes]:
    """Return the secret raw, percent-encoded and in base64, whatever stands before and behind it."""
    found = [PLANTED.encode(), quote(PLANTED, safe="").encode()]
    for before in range(3):
        whole = (before + len(PLANTED)) // 3 * 4
        found.append(base64.b64encode(bytes(before) + PLANTED.encode())[(0, 2, 3)[before] : whole])
    return found


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
def guarded(folder: Path) -> Iterator[str]:
    """Serve the files of a folder and return the host of their URLs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Guarded, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(copy: Checkout) -> list[str]:
    """Return what holds the secret: files of the checkout and beside it, where DVC's own lie, and objects of git."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"]  # packed ones, too
    packed = subprocess.run(command, cwd=copy.folder, env=copy.env, capture_output=True, check=True).stdout  # noqa: S603
    found = ["git"] if any(form in packed for form in forms()) else []
    for path in copy.folder.parent.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if ".git/objects" in path.as_posix() and content[:1] == b"x":
                content = zlib.decompress(content)
            if any(form in path.name.encode() + b"\n" + content for form in forms()):
                found.append(str(path.relative_to(copy.folder.parent)))
    return sorted(found)


def one_run(folder: Path) -> Checkout:
    """Return a checkout with one run, of the extra-ROI alone, in a folder of its own."""
    (folder / "work").mkdir()
    one = checkout(folder / "work/copy", NETRC="/dev/null")
    keep_runs(one.folder, {"none+vit-all"})
    one.commit()
    return one


@pytest.fixture
def copy(tmp_path: Path) -> Checkout:
    """Return a checkout of `one_run` in which nothing ran."""
    return one_run(tmp_path)


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
    assert not any(form in output.encode() for form in forms())
    assert [path for path in (copy.folder / "data").rglob("*") if path.is_file()] == []
    assert not (copy.folder / "dvc.lock").exists()
    assert not list((copy.folder / ".dvc").rglob("cache/files/*/*/*"))
    assert copy.call("dvc", "exp", "list", "--name-only").split() == []
    copy.call("git", "checkout", "--", "params.yaml")
    copy.call("git", "gc", "-q", "--prune=now")
    assert told(copy) == []


def test_without_the_secret_the_host_refuses_and_netrc_gives_it(copy: Checkout, tmp_path: Path) -> None:
    """The message says what to do."""
    (tmp_path / "web").mkdir()
    with zipfile.ZipFile(tmp_path / "web/Food.zip", "w") as archive:
        for name, content in OFFICIAL.items():
            archive.writestr(name, content)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PLANTED}\n", encoding="utf-8")
    netrc.chmod(0o600)
    with guarded(tmp_path / "web") as host:
        command = ("dvc", "exp", "run", "-S", f"dataset=http://{host}/Food.zip", "download")
        refused = copy.refused(*command)
        assert "HTTP 401" in refused
        assert URLS_VARIABLE in refused
        output = Checkout(copy.folder, copy.env | {"NETRC": str(netrc)}).call(*command)
    assert not any(form in output.encode() for form in forms())
    assert (copy.folder / "data/raw/category_id.txt").read_bytes() == OFFICIAL["category_id.txt"]
    assert told(copy) == []


def write_archive(folder: Path, web: Path) -> None:
    """Write a Roboflow export of twelve photos with overlapping objects, and weights of the demo's ViT."""
    coco = CocoFolder(folder / "photos", {0: "bread", 3: "rice", 300: "sauce"})
    for number in range(12):
        split = "valid" if number % 3 == 2 else "train"
        rice = rle(box_mask(20, 8, 30, 25, (48, 64)), compressed=number % 2 == 0)
        objects = ((0, polygon(4, 4, 30, 20)), (3, rice), (300, polygon(40, 30, 12, 9)))
        coco.add(f"{split}/_annotations.coco.json", f"{number}.png", *objects, size=(48, 64))
    coco.write()
    web.mkdir()
    shutil.make_archive(str(web / "Food"), "zip", coco.path)
    safetensors.torch.save_file(timm.create_model("demo_vit").state_dict(), web / "vit.safetensors")


def ask_for_one_run(copy: Checkout, host: str) -> None:
    """Let the graph be the variant alone, on photos and weights of a host; as small as it can be."""
    params, yaml = copy.folder / "params.yaml", YAML()
    values = yaml.load(params)
    values |= {"dataset": f"http://{host}/Food.zip", "roi": "none", "extra_roi": "vit"}
    values["backbones"] = {
        **{name: {} for name in ("none", *FUSIONS)},
        "vit": {"timm": "demo_vit", "weights": f"http://{host}/vit.safetensors"},
        "deit_distilled": {"timm": "demo_deit_distilled", "weights": "none"},
    }
    values["probe"]["backbones"], values["ambiguous"] = ["vit"], []  # no run to find a pair by
    values["index"]["validation"] = 0.0
    values["pair"]["image_size"], values["perturb"]["patch_size"] = 64, 8
    values["train"] |= {"epochs": 1, "hidden": 16}
    values["explain"]["samples"] = values["report"]["samples"] = 2
    yaml.dump(values, params)


class Finished(NamedTuple):
    """A graph that ran on an archive in COCO's format, with secrets in the environment."""

    copy: Checkout
    host: str
    output: str
    """What `dvc exp run` printed."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Photos by a login, weights by a signature, a store's key."""
    folder = tmp_path_factory.mktemp("finished")
    write_archive(folder, folder / "web")
    copy = one_run(folder)
    (folder / "work/tmp").mkdir()
    with guarded(folder / "web") as host:
        ask_for_one_run(copy, host)
        urls = f"http://{LOGIN}{host}/Food.zip http://{host}/vit.safetensors?{SIGNATURE}"
        secrets = {URLS_VARIABLE: urls, "AWS_SECRET_ACCESS_KEY": PLANTED, "TMPDIR": str(folder / "work/tmp")}
        output = Checkout(copy.folder, copy.env | secrets).call("dvc", "exp", "run")
    return Finished(copy, host, output)


def test_a_graph_run_with_secrets_in_the_environment_writes_them_nowhere(finished: Finished) -> None:
    """Not in data, report, lock, caches, git nor output."""
    copy, host, output = finished
    assert not any(form in output.encode() for form in forms())
    settings = (copy.folder / "data/settings/download.json").read_text(encoding="utf-8")
    assert f"http://{host}/Food.zip" in settings
    for name in ("data/report/index.html", "data/report/results.json", "results/summary.json"):
        assert (copy.folder / name).is_file()
    assert copy.call("dvc", "exp", "list", "--name-only").split() != []
    assert told(copy) == []


def test_a_coco_archive_becomes_a_report(finished: Finished) -> None:
    """Like FoodSeg103; its part for validation is the test split where it has none, and the data card says so."""
    folder = finished.copy.folder
    samples = list(read_samples(folder / "data/index/samples.parquet"))
    assert len(samples) == 36
    assert sum(sample.split == "test" for sample in samples) == 12
    card = json.loads((folder / "data/index/summary.json").read_text())["data_card"]
    assert any("val is the test split" in sentence for sentence in card)
    page = (folder / "data/report/index.html").read_text()
    assert all(text in page for text in ("Food.zip", "val is the test split", "sauce"))
