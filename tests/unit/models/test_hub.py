"""The hub, by a local stand-in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from pipeline.models.pretrained import fetch_from_hub
from pipeline.runtime.errors import WeightsError
from tests.hub_stand_in import COMMIT, REPOSITORY, Hub, ask_hub, serving_hub

TIMM_ID = "test_vit.r160_in1k"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Run the stand-in with an empty cache; the library waits for nothing."""
    with serving_hub() as hub:
        ask_hub(hub, tmp_path / "cache", monkeypatch)
        yield hub


def gone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the library at a port where nobody listens, and forget what was asked."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    hub.asked.clear()


@pytest.mark.parametrize("file_name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("redirect", [True, False])
def test_a_revision_becomes_a_file_and_a_commit(hub: Hub, file_name: str, redirect: bool) -> None:
    """The safe format is asked for first, the older one taken where it is the only one; on whichever host it lies."""
    hub.name, hub.redirect = file_name, redirect
    file = fetch_from_hub(TIMM_ID, "v1")
    assert file.path.read_bytes() == hub.payload
    assert (file.repository, file.commit, file.path.name) == (REPOSITORY, COMMIT, file_name)
    assert any(path.startswith("/blob") for _, path, _ in hub.asked) == redirect


def test_a_cached_file_needs_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once fetched, it is there without a connection; another revision is not, and the message says what to do."""
    fetched = fetch_from_hub(TIMM_ID, "v1")
    gone(hub, monkeypatch)
    assert fetch_from_hub(TIMM_ID, "v1") == fetched
    with pytest.raises(
        WeightsError, match=r"cannot be reached and model.safetensors of timm/.*backbones.<name>.weights"
    ):
        fetch_from_hub(TIMM_ID, "v2")


def test_a_cached_commit_is_not_even_asked_for(hub: Hub) -> None:
    """A commit means the same for ever; a branch is asked about each time."""
    fetched = fetch_from_hub(TIMM_ID, COMMIT)
    hub.asked.clear()
    assert fetch_from_hub(TIMM_ID, COMMIT) == fetched
    assert hub.asked == []
    assert fetch_from_hub(TIMM_ID, "v1") == fetched
    assert {method for method, _, _ in hub.asked} == {"HEAD"}


def test_offline_by_wish_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE=1 is obeyed at once."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="cannot be reached"):
        fetch_from_hub(TIMM_ID, "v1")
    assert hub.asked == []


def test_a_broken_connection_goes_on_where_it_broke(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole chunks that have come are not fetched twice."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.cut_after = [5500]
    assert fetch_from_hub(TIMM_ID, "v1").path.read_bytes() == hub.payload
    assert [asked for method, _, asked in hub.asked if method == "GET"] == [None, "bytes=5000-"]


def test_a_body_that_is_too_short_is_never_taken_for_the_file(hub: Hub) -> None:
    """One line; the next run brings the whole."""
    hub.short = 300
    with pytest.raises(WeightsError, match="timm/test_vit.*should be of size 17000 but has size 16700.*run again"):
        fetch_from_hub(TIMM_ID, "v1")
    hub.short = 0
    assert fetch_from_hub(TIMM_ID, "v1").path.read_bytes() == hub.payload


def test_a_connection_that_always_breaks_is_one_line(hub: Hub) -> None:
    """The library's own tries come first."""
    hub.cut_after = [0] * 20
    with pytest.raises(WeightsError, match="timm/test_vit.*run again to go on") as caught:
        fetch_from_hub(TIMM_ID, "v1")
    assert "\n" not in str(caught.value)


def test_unknown_revisions_and_files_are_told_apart(hub: Hub) -> None:
    """Both name the repository, and what a revision belongs to."""
    with pytest.raises(WeightsError, match=r"timm/test_vit.r160_in1k has no revision 'v9'; .*revision.*or to main"):
        fetch_from_hub(TIMM_ID, "v9")
    hub.name = "other.bin"
    with pytest.raises(WeightsError, match="has none of model.safetensors, pytorch_model.bin"):
        fetch_from_hub(TIMM_ID, "v1")


def test_an_unknown_repository_is_one_line(hub: Hub) -> None:
    """What timm lists may be lost, or missing on an endpoint that mirrors a part of the hub."""
    with pytest.raises(WeightsError, match="hub repository timm/test_resnet.r160_in1k: ") as caught:
        fetch_from_hub("test_resnet.r160_in1k", "v1")
    assert "\n" not in str(caught.value)
    assert hub.asked


def test_a_model_without_weights_on_the_hub_is_refused() -> None:
    """The demo's backbones have none, for instance."""
    with pytest.raises(WeightsError, match="lists no weights on the hub for 'demo_vit'"):
        fetch_from_hub("demo_vit", "main")
