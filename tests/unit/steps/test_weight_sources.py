"""Sources of pre-trained weights, over a loopback network that breaks and lies."""

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from pipeline.acquisition import transfer
from pipeline.models.card import BackboneCard, read_card
from pipeline.models.pretrained import TorchvisionFile
from pipeline.params.model import BackboneParams
from pipeline.runtime.errors import WeightsError
from pipeline.runtime.resumable import hash_cache, resumable_root
from pipeline.steps import weights as weight_sources
from pipeline.steps.weights import fetch_weights
from tests.forked import Ended, Forked
from tests.hub_stand_in import COMMIT, Hub, ask_hub, serving_hub
from tests.loopback import Host, Reply, serving

TIMM_ID = "test_vit.r160_in1k"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """Return weights of a tiny model."""
    torch.manual_seed(0)
    return timm.create_model(TIMM_ID).state_dict()


@pytest.fixture(scope="module")
def payload(tensors: dict[str, torch.Tensor]) -> bytes:
    """Return them as a file."""
    return safetensors.torch.save(tensors)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty checkout with empty caches, and wait for nothing between tries."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "checkout"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weight_sources, "fetch", partial(transfer.fetch, sleep=lambda _: None))


@pytest.fixture
def host(payload: bytes) -> Iterator[Host]:
    """Serve the file."""
    with serving() as host:
        host.content = payload
        host.script = [Reply(content_type="application/octet-stream")]
        yield host


@pytest.fixture
def hub(payload: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Serve the file as the hub would."""
    with serving_hub() as hub:
        hub.payload = payload
        ask_hub(hub, tmp_path / "cache", monkeypatch)
        yield hub


def sha256(data: bytes) -> str:
    """Return the hash of bytes."""
    return hashlib.sha256(data).hexdigest()


def url_of(host: Host, name: str) -> str:
    """Return the address of the host's file under a name."""
    return f"http://127.0.0.1:{host.port}/models/{name}"


def named(host: Host) -> str:
    """Return an address that ends in the first digits of the file's hash, as PyTorch's do."""
    return url_of(host, f"tiny-{sha256(host.content)[:8]}.safetensors")


def fetch(folder: Path, weights: str, **more: object) -> BackboneCard:
    """Run the stage for one backbone and return its card."""
    fetch_weights(
        BackboneParams.model_validate({"timm": TIMM_ID, "weights": weights} | more), name="tiny", weights=folder
    )
    return read_card(folder / "tiny")


def stored(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors that the stage wrote."""
    return safetensors.torch.load_file(folder / "tiny/model.safetensors")


def leftovers() -> list[Path]:
    """Return what unfinished work holds."""
    held = (path for path in resumable_root().rglob("*") if path.is_file() and path != hash_cache("code"))
    return [path for path in held if path.suffix != ".lock"]


def test_a_url_becomes_a_file_with_its_origin(host: Host, tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Tensors, hash and address; no password of it, no licence that nobody stated, nothing unfinished."""
    card = fetch(tmp_path, named(host).replace("http://", "http://me:secret@") + "?signature=secret")
    assert (card.source, card.file, card.sha256) == ("url", named(host), sha256(host.content))
    assert (card.revision, card.licence) == (None, None)
    assert all(torch.equal(stored(tmp_path)[name], tensor) for name, tensor in tensors.items())
    assert leftovers() == []


def test_a_url_may_lead_elsewhere(host: Host, tmp_path: Path) -> None:
    """As releases on GitHub lead to a content network."""
    host.script = [Reply(location=url_of(host, "elsewhere?signature=secret")), *host.script]
    card = fetch(tmp_path, named(host))
    assert (card.file, card.sha256) == (named(host), sha256(host.content))


def test_a_broken_download_goes_on_in_the_next_run(host: Host, tmp_path: Path) -> None:
    """What came is kept, and only the rest is asked for."""
    host.script = [Reply(cut_after=3000), Reply(status=503)]
    with pytest.raises(WeightsError, match=r"backbones.tiny.weights: http.*503.*3.00kB are kept: run the same command"):
        fetch(tmp_path, named(host))
    host.script = [Reply(content_type="application/octet-stream")]
    assert fetch(tmp_path, named(host)).sha256 == sha256(host.content)
    assert host.asked[-1]["Range"] == "bytes=3000-"


def test_digits_in_a_name_are_no_reason_to_follow_to_another_host(host: Host, tmp_path: Path) -> None:
    """Anybody can find a file whose hash begins with eight given digits; the whole hash is another matter."""
    elsewhere = named(host).replace("127.0.0.1", "localhost")
    host.script = [Reply(location=elsewhere), *host.script]
    with pytest.raises(WeightsError, match="sends us on to http://localhost:.*pin the whole SHA-256"):
        fetch(tmp_path, named(host))
    host.script = [Reply(location=elsewhere), *host.script]
    assert fetch(tmp_path, named(host), sha256=sha256(host.content)).sha256 == sha256(host.content)


@pytest.mark.parametrize("pinned_by", ["name", "parameter"])
def test_a_file_with_another_hash_is_refused_and_fetched_anew(
    host: Host, tmp_path: Path, payload: bytes, pinned_by: str
) -> None:
    """Whether the name or `sha256` says which file is meant; the wrong one is not kept."""
    url = named(host) if pinned_by == "name" else url_of(host, "tiny.safetensors")
    more = {} if pinned_by == "name" else {"sha256": sha256(payload)}
    host.content = payload[:-1] + b"!"
    with pytest.raises(WeightsError, match="backbones.tiny: http.* has SHA-256 .*, not .*; run again to fetch it anew"):
        fetch(tmp_path, url, **more)
    assert [path.name for path in leftovers()] == ["transfer.json"]
    host.content = payload
    assert fetch(tmp_path, url, **more).sha256 == sha256(payload)


@pytest.mark.parametrize("name", ["tiny.safetensors", "tiny-20240131.safetensors"])
def test_without_a_pinned_hash_the_hash_is_printed(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """With the parameter that pins it; a date in a name is no hash."""
    assert fetch(tmp_path, url_of(host, name)).sha256 == sha256(host.content)
    assert f"SHA-256 {sha256(host.content)} (set backbones.tiny.sha256" in capsys.readouterr().err


def test_what_pytorch_has_already_is_not_fetched(host: Host, tmp_path: Path) -> None:
    """Its cache is taken if the hash is right, and else left alone."""
    cached = tmp_path / "hub/checkpoints" / named(host).rpartition("/")[2]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(host.content)
    assert fetch(tmp_path, named(host)).source == "url"
    assert host.asked == []
    cached.write_bytes(b"damaged")
    assert fetch(tmp_path, named(host)).sha256 == sha256(host.content)
    assert len(host.asked) == 1
    assert cached.read_bytes() == b"damaged"


def test_a_web_page_and_an_unreachable_host_are_one_line(host: Host, tmp_path: Path) -> None:
    """Each says what to do instead, in the terms of this stage."""
    host.script = [Reply(content_type="text/html")]
    with pytest.raises(WeightsError, match="backbones.tiny.weights: .*web page instead of the file"):
        fetch(tmp_path, named(host))
    with pytest.raises(WeightsError, match="check the network.*or name a local copy as backbones.tiny.weights"):
        fetch(tmp_path, "http://127.0.0.1:9/tiny-01234567.pth")


def test_a_download_that_does_not_fit_stays_for_the_next_try(host: Host, tmp_path: Path) -> None:
    """The wrong `timm` costs no second download."""
    with pytest.raises(WeightsError, match="does not fit test_resnet"):
        fetch(tmp_path, named(host), timm="test_resnet")
    assert fetch(tmp_path, named(host)).sha256 == sha256(host.content)
    with pytest.raises(WeightsError, match="404"):
        host.script = [Reply(status=404)]
        fetch(tmp_path, url_of(host, "other.pth"))


def test_torchvisions_file_is_fetched_checked_and_normalised_its_way(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is torchvision's own (see test_torchvision_weights.py); here it leads to this host."""
    official = TorchvisionFile(named(host), "bsd-3-clause")
    monkeypatch.setattr(weight_sources, "find_torchvision_file", lambda *_: official)
    card = fetch(tmp_path, "torchvision")
    assert (card.source, card.file, card.licence) == ("torchvision", named(host), "bsd-3-clause")
    assert (card.mean, card.std) == (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    assert timm.get_pretrained_cfg(TIMM_ID).mean != IMAGENET_DEFAULT_MEAN


def test_the_hub_gives_a_commit_and_says_how_to_pin_it(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A branch is resolved and printed once; a pinned commit has nothing to say."""
    card = fetch(tmp_path, "hub", revision="v1")
    assert (card.source, card.file) == ("hub", "timm/test_vit.r160_in1k/model.safetensors")
    assert (card.revision, card.sha256, card.licence) == (COMMIT, sha256(hub.payload), "apache-2.0")
    assert f"is at {COMMIT}, SHA-256 {card.sha256} (set backbones.tiny.revision" in capsys.readouterr().err
    assert fetch(tmp_path, "hub", revision=COMMIT) == card
    assert capsys.readouterr().err == ""


def test_a_hub_file_with_another_hash_is_refused(hub: Hub, tmp_path: Path) -> None:
    """The message names the cached file, which would be taken again."""
    assert hub.payload
    with pytest.raises(WeightsError, match=rf"r160_in1k has SHA-256 .*, not 000.*delete {tmp_path}/cache/.*correct"):
        fetch(tmp_path, "hub", revision="v1", sha256="0" * 64)


@pytest.mark.slow
def test_the_stage_takes_its_hub_from_the_environment(tmp_path: Path, payload: bytes, forked: Forked) -> None:
    """In a process of its own, as in the graph; then again without any hub, from the cache; then without either."""
    settings = tmp_path / "data/settings/backbones/tiny.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(BackboneParams(timm=TIMM_ID, weights="hub", revision=COMMIT).model_dump_json())
    command = ["-m", "stages.weights", "--backbone", "tiny"]
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}

    def run(endpoint: str, **more: str) -> Ended:
        env = environment | {"HF_ENDPOINT": endpoint} | more
        return forked(*command, cwd=tmp_path, env=env)

    with serving_hub() as hub:
        hub.payload = payload
        assert run(hub.address).returncode == 0
    first = (tmp_path / "data/weights/tiny/model.safetensors").read_bytes()
    assert run("http://127.0.0.1:9").returncode == 0
    assert (tmp_path / "data/weights/tiny/model.safetensors").read_bytes() == first
    refused = run("http://127.0.0.1:9", HF_HOME=str(tmp_path / "empty"))
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: the hub cannot be reached and model.safetensors of timm/test_vit")
    assert len(refused.stderr.splitlines()) == 1
