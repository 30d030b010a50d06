"""Stage mask_weights: official files by name and hash, files of one's own, stand-ins; or nothing at all."""

import hashlib
import importlib.util
import os
import subprocess
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants

from pipeline.acquisition.transfer import TransferPolicy
from pipeline.params.base import Section
from pipeline.params.masks import FastSamWeightsParams, NoWeightsParams, PromptableWeightsParams, SamWeightsParams
from pipeline.runtime.errors import ParamsError, WeightsError
from pipeline.segmentation.registry import create_source
from pipeline.segmentation.weights import SAM_FILES, OfficialFile, read_card
from pipeline.steps.mask_weights import fetch_mask_weights
from tests.forked import Forked
from tests.loopback import Reply, serving
from tests.mask_sources import crafted, tiny_fastsam, tiny_promptable, tiny_sam

needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="ultralytics (AGPL-3.0) was left out"
)

needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="requirements-transformers.txt was left out"
)


def fetch(folder: Path, source: str, params: Section) -> Path:
    """Run the step; return the folder it wrote."""
    (folder / "settings.json").write_text(params.model_dump_json())
    fetch_mask_weights(source, settings=folder / "settings.json", output=folder / source)
    return folder / source


def sam(weights: str, *, architecture: str = "tiny", sha256: str | None = None) -> SamWeightsParams:
    """Return settings of SAM's weights."""
    return SamWeightsParams(architecture=architecture, weights=weights, sha256=sha256)


def test_annotation_needs_none_and_no_torch(tmp_path: Path, root: Path) -> None:
    """An empty card, in a process that never imports torch."""
    fetch(tmp_path, "annotation", NoWeightsParams())
    card = read_card(tmp_path / "annotation")
    assert (card.origin, card.stored) == ("none", None)
    code = (
        "import sys; from pathlib import Path; from pipeline.steps.mask_weights import fetch_mask_weights as f; "
        "f('annotation', settings=Path('settings.json'), output=Path('again')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)}, check=True)  # noqa: S603


def test_random_weights_open_and_say_so(tmp_path: Path) -> None:
    """True architecture, the same bytes every time."""
    folder = fetch(tmp_path, "sam", sam("random"))
    first = (folder / "model.safetensors").read_bytes()
    assert (read_card(folder).origin, read_card(folder).architecture) == ("random", "tiny")
    assert create_source(folder, device="cpu").name == "sam"
    assert (fetch(tmp_path, "sam", sam("random")) / "model.safetensors").read_bytes() == first


@needs_ultralytics
def test_random_weights_of_fastsam_open_and_say_so(tmp_path: Path) -> None:
    """Likewise."""
    folder = fetch(tmp_path, "fastsam", FastSamWeightsParams(architecture="tiny", weights="random", sha256=None))
    assert (read_card(folder).origin, read_card(folder).stored) == ("random", "model.pt")
    assert create_source(folder, device="cpu").name == "fastsam"


def test_a_file_of_ones_own_is_stored_without_its_path(tmp_path: Path) -> None:
    """Teammates with other paths share the outputs; the hash of the source is on the card."""
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        tiny_sam(tmp_path / place)
    path = tmp_path / "here/tiny.safetensors"
    folder = fetch(tmp_path, "sam", sam(str(path)))
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    card = read_card(folder)
    assert (card.origin, card.file) == ("file", "tiny.safetensors")
    assert card.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    again = fetch(tmp_path, "sam", sam(str(tmp_path / "there/tiny.safetensors")))
    assert {file.name: file.read_bytes() for file in again.iterdir()} == files


@needs_ultralytics
def test_a_fastsam_of_ones_own_is_stored(tmp_path: Path) -> None:
    """As ultralytics wrote it."""
    path = tiny_fastsam(tmp_path)
    folder = fetch(tmp_path, "fastsam", FastSamWeightsParams(architecture="s", weights=str(path), sha256=None))
    assert (folder / "model.pt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!doctype html>", "a web page instead of weights"),
        (b"PK\x03\x04", "4 bytes, the official file has 375042383"),
        (None, "no such file"),
    ],
)
def test_what_is_not_the_official_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    """One line that names the official file and the parameter; no output is left."""
    path = tmp_path / "sam_vit_b_01ec64.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        WeightsError, match=f"{message}; fetch https://.*sam_vit_b_01ec64.pth .375 MB. and set masks.sam"
    ):
        fetch(tmp_path, "sam", sam(str(path), architecture="vit_b"))
    assert list((tmp_path / "sam").iterdir()) == []


def test_a_malicious_file_is_refused_unopened_or_unrun(tmp_path: Path) -> None:
    """A pinned hash stops it before it is opened; without one it is read as data only."""
    path = crafted(tmp_path / "evil.pth", touches=tmp_path / "ran")
    for sha256, message in (("0" * 64, "SHA-256"), (None, "not a readable state dict")):
        with pytest.raises(WeightsError, match=message):
            fetch(tmp_path, "sam", sam(str(path), sha256=sha256))
    assert not (tmp_path / "ran").exists()


@needs_ultralytics
def test_a_malicious_fastsam_is_not_run(tmp_path: Path) -> None:
    """Likewise."""
    path = crafted(tmp_path / "evil.pt", touches=tmp_path / "ran")
    with pytest.raises(WeightsError, match="not a readable FastSAM file"):
        fetch(tmp_path, "fastsam", FastSamWeightsParams(architecture="s", weights=str(path), sha256=None))
    assert not (tmp_path / "ran").exists()


def test_a_stand_in_has_no_official_weights(tmp_path: Path) -> None:
    """`tiny` with official weights says what to choose."""
    with pytest.raises(WeightsError, match="SAM tiny has no official weights: set masks.sam.weights to random"):
        fetch(tmp_path, "sam", sam("official"))


def test_official_weights_are_fetched_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server on this machine: stored with origin official; another content there is refused and not kept."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    content = tiny_sam(tmp_path).read_bytes()
    served = {"body": content}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(served["body"])))
            self.end_headers()
            self.wfile.write(served["body"])

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/tiny.safetensors"
        file = OfficialFile(url, len(content), hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(SAM_FILES, "tiny", file)
        card = read_card(fetch(tmp_path, "sam", sam("official")))
        assert (card.origin, card.file, card.licence) == ("official", "tiny.safetensors", "Apache-2.0")
        served["body"] = content[:-1] + b"!"
        with pytest.raises(WeightsError, match="SHA-256 is"):
            fetch(tmp_path, "sam", sam("official"))
        served["body"] = content
        fetch(tmp_path, "sam", sam("official"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_came_of_official_weights_is_kept_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message tells both ways on: the same command again, or the file by hand."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr("pipeline.steps.mask_weights.TransferPolicy", partial(TransferPolicy, attempts=1))
    with serving() as host:
        host.script = [Reply(cut_after=1000), Reply(status=503)]
        monkeypatch.setitem(SAM_FILES, "tiny", OfficialFile(host.url, len(host.content), "0" * 64))
        with pytest.raises(WeightsError, match=r"503.*1\.00kB are kept: run the same command.*; or fetch http\S+ "):
            fetch(tmp_path, "sam", sam("official"))


def test_without_network_one_line_names_the_official_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: the line says where the file is and where to put its path."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr("pipeline.steps.mask_weights.TransferPolicy", partial(TransferPolicy, attempts=1))
    official = SAM_FILES["vit_b"]
    monkeypatch.setitem(SAM_FILES, "vit_b", official._replace(url=f"http://127.0.0.1:9/{official.name}"))
    with pytest.raises(WeightsError, match=r"fetch http://127.0.0.1:9/sam_vit_b_01ec64.pth .375 MB. and set") as caught:
        fetch(tmp_path, "sam", sam("official", architecture="vit_b"))
    assert "\n" not in str(caught.value)


def test_a_package_that_was_left_out_is_named(tmp_path: Path, forked: Forked) -> None:
    """Who leaves ultralytics out can do everything else; who chooses FastSAM then is told."""
    (tmp_path / "settings.json").write_text('{"architecture": "tiny", "weights": "random", "sha256": null}')
    code = (
        "import sys; sys.modules['ultralytics'] = None; from pathlib import Path\n"
        "from pipeline.steps.mask_weights import fetch_mask_weights as fetch\n"
        "from pipeline.runtime.errors import ParamsError\n"
        "import pipeline.cli.app, pipeline.steps.report, pipeline.steps.segment\n"
        "fetch('sam', settings=Path('settings.json'), output=Path('sam'))\n"
        "try: fetch('fastsam', settings=Path('settings.json'), output=Path('fastsam'))\n"
        "except ParamsError as error: print(error)\n"
        "sys.modules['transformers'] = None; Path('settings.json').write_text('{\"model\": \".\"}')\n"
        "try: fetch('sam2', settings=Path('settings.json'), output=Path('sam2'))\n"
        "except ParamsError as error: print(error)"
    )
    done = forked("-c", code, cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "fastsam needs the package ultralytics-opencv-headless (AGPL-3.0)" in done.stdout
    assert "sam2 needs the package transformers, and transformers is not installed; `pip install -r req" in done.stdout


@needs_transformers
def test_a_folder_of_transformers_is_stored_and_opens(tmp_path: Path) -> None:
    """Its tensors and settings, nothing else; the card says what it is, without the folders above."""
    model = tiny_promptable(tmp_path / "mine", "sam2")
    (model / "notes.txt").write_text("mine")
    folder = fetch(tmp_path, "small", PromptableWeightsParams(model=str(model)))
    names = {"config.json", "mask_weights.json", "model.safetensors", "preprocessor_config.json"}
    assert {path.name for path in folder.iterdir()} == names
    card = read_card(folder)
    assert (card.source, card.architecture, card.origin, card.file) == ("small", "sam2", "folder", "mine")
    assert create_source(folder, device="cpu").name == "small"


@needs_transformers
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("absent", "masks.transformers.small.model: absent: no such folder; give one, or a repository"),
        (
            "owner/name",
            r"the hub cannot be reached and owner/name .main. is not cached; .*set masks.transformers.small",
        ),
        ("pickled", r"masks.transformers.small.model: .*: no file \*.safetensors there; pickles"),
    ],
)
def test_models_that_cannot_be_had_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, message: str
) -> None:
    """No folder, no hub, and a pickle, which is not opened."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    if model == "pickled":
        (tmp_path / model).mkdir()
        crafted(tmp_path / model / "pytorch_model.bin", touches=tmp_path / "ran")
    with pytest.raises(WeightsError, match=message) as caught:
        fetch(tmp_path, "small", PromptableWeightsParams(model=str(tmp_path / model) if model == "pickled" else model))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_settings_of_another_source_are_refused(tmp_path: Path) -> None:
    """Names and types are checked before anything is fetched."""
    with pytest.raises(ParamsError, match="architecture"):
        fetch(tmp_path, "sam", NoWeightsParams())
