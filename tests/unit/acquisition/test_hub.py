"""FoodSeg103 from a stand-in of the hub and of its authors' server: one data/raw, whoever sent it."""

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from pipeline.acquisition import hub as module
from pipeline.acquisition.hub import HubCopy
from pipeline.acquisition.source import hash_listing
from pipeline.datasets.foodseg103 import CATEGORIES
from pipeline.params.stages import DemoParams, DownloadParams
from pipeline.runtime.errors import SourceError, SpaceError
from pipeline.steps import download as step
from tests.hub_stand_in import Hub, ask_hub, serving_hub
from tests.loopback import Host, Reply, serving

COMMIT = "34e1208" + "0" * 33
PASSWORD = "LARCdataset9947"  # noqa: S105 - printed in the authors' README
FILES = ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/validation-00000.parquet")


def small_release() -> dict[str, bytes]:
    """Return a small data set with all categories, as the official archive has it; no stage here looks at pixels."""
    files = {"category_id.txt": "".join(f"{number}\t{name}\r\n" for number, name in enumerate(CATEGORIES)).encode()}
    for split, stems in (("train", range(40, 0, -1)), ("test", range(41, 60))):
        files[f"ImageSets/{split}.txt"] = "".join(f"{stem:08}\n" for stem in stems).encode()
        for stem in stems:
            files[f"Images/img_dir/{split}/{stem:08}.jpg"] = b"photo %d" % stem * 50
            files[f"Images/ann_dir/{split}/{stem:08}.png"] = b"labels %d" % stem
    return files


def real_release(shared: Path) -> dict[str, bytes]:
    """Return real photos."""
    with zipfile.ZipFile(shared / "data/FoodSeg103-mini.zip") as opened:
        opened.setpassword(PASSWORD.encode())
        return {
            name.removeprefix("FoodSeg103/"): opened.read(name) for name in opened.namelist() if not name.endswith("/")
        }


def packed(files: dict[str, bytes]) -> bytes:
    """Return a ZIP, which nobody needs a password for."""
    with zipfile.ZipFile(target := io.BytesIO(), "w") as opened:
        for name, body in files.items():
            opened.writestr(f"FoodSeg103/{name}", body)
        opened.writestr("FoodSeg103/Readme.txt", b"read me")
    return target.getvalue()


def as_parquet(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the Parquet files of the copy on the hub, in row groups of ten."""
    tables: dict[str, bytes] = {}
    for split, names in (("train", FILES[:2]), ("test", FILES[2:])):
        stems = sorted(Path(name).stem for name in files if name.startswith(f"Images/img_dir/{split}/"))
        for number, name in enumerate(names):
            rows = [
                {
                    "image": {"bytes": files[f"Images/img_dir/{split}/{stem}.jpg"], "path": f"{stem}.jpg"},
                    "label": {"bytes": files[f"Images/ann_dir/{split}/{stem}.png"], "path": f"{stem}.png"},
                    "classes_on_image": [1],
                    "id": int(stem),
                }
                for stem in stems[number :: len(names)]
            ]
            pq.write_table(pa.Table.from_pylist(rows), target := io.BytesIO(), row_group_size=10)
            tables[name] = target.getvalue()
    return tables


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Run the stand-in with a small copy, pinned but for one file, and an empty cache; work in an empty checkout."""
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    with serving_hub() as hub:
        hub.dataset, hub.commit, hub.files = "EduardoPacheco/FoodSeg103", COMMIT, as_parquet(small_release())
        ask_hub(hub, tmp_path / "cache", monkeypatch)
        pin(hub, monkeypatch)
        yield hub


def pin(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pin all files that the hub has now but the second."""
    pins = {name: hashlib.sha256(body).hexdigest() for name, body in hub.files.items()}
    monkeypatch.setattr(module, "HUB_COPY", HubCopy(hub.dataset, "34e1208", pins | {FILES[1]: None}))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Run the authors' server, which fails."""
    with serving() as host:
        host.content, host.script = packed(small_release()), [Reply(status=502)]
        monkeypatch.setattr(step, "OFFICIAL_URL", host.url)
        yield host


def fetched(source: str, **changes: object) -> dict[str, str]:
    """Run the step; return the SHA-256 of every file of data/raw."""
    values = {
        "source": source, "sha256": None, "password": PASSWORD, "max_gigabytes": 1.0, "max_files": 2000, "attempts": 3,
        "timeout": 2.0, "extra": {}, "demo": DemoParams(train_photos=1, test_photos=1, seed=0),
    }  # fmt: skip
    raw = Path("data/raw")
    step.download(DownloadParams(**values | changes), raw=raw, record=Path("data/source.json"), workers=1)
    files = (path for path in raw.rglob("*") if path.is_file())
    return {path.relative_to(raw).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def record() -> dict[str, object]:
    """Return where the data set came from."""
    found: dict[str, object] = json.loads(Path("data/source.json").read_bytes())
    return found


@pytest.fixture(params=["small", "real"])
def files(request: pytest.FixtureRequest) -> dict[str, bytes]:
    """Return a small data set, and real photos where they are at hand."""
    return small_release() if request.param == "small" else real_release(request.getfixturevalue("shared"))


def test_archive_folder_and_hub_give_one_listing(
    files: dict[str, bytes], hub: Hub, server: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same files of the same bytes, lists included, so that every later stage finds its results in the cache."""
    hub.files, server.content, server.script = as_parquet(files), packed(files), [Reply()]
    pin(hub, monkeypatch)
    from_hub = fetched("foodseg103@hub")
    assert record() == {
        "sha256": hash_listing(from_hub.items()), "name": hub.dataset, "revision": COMMIT,
        "bytes": sum(path.stat().st_size for path in Path("data/raw").rglob("*") if path.is_file()),
    }  # fmt: skip
    assert fetched("foodseg103@official") == fetched("foodseg103") == from_hub
    assert record()["name"] == "Food Seg.zip"
    (tmp_path / "kaggle.zip").write_bytes(packed(files))
    assert fetched(str(tmp_path / "kaggle.zip")) == from_hub
    assert sum(name.startswith("Images/img_dir") for name in from_hub) == sum(n.endswith(".jpg") for n in files)


def test_a_dead_server_is_told_in_one_line_and_the_hub_taken(
    hub: Hub, server: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    """After one attempt; the record says so, too. Chosen alone, the server is tried as often as set."""
    files = fetched("foodseg103")
    assert len(files) == 2 * 59 + 3
    assert len(server.asked) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "502" in line]
    assert said == [
        f"{server.url}: HTTP 502 Bad Gateway; taking the copy {hub.dataset} on the Hugging Face hub instead"
    ]
    assert record()["instead_of"] == f"{server.url}: HTTP 502 Bad Gateway"
    hub.asked.clear()
    with pytest.raises(SourceError, match=r"HTTP 502 .*; or take the copy on the hub: dvc exp run -S dataset=food"):
        fetched("foodseg103@official")
    assert len(server.asked) == 4
    assert hub.asked == []


def test_a_transfer_that_began_is_gone_on_with(hub: Hub, server: Host) -> None:
    """What an earlier call left of the archive is worth more than a copy from elsewhere."""
    server.script = [Reply(cut_after=1000), Reply(status=503)]
    hub.refusal = (503, "")
    with pytest.raises(SourceError, match=r"/path/FoodSeg103.zip \(http://127.*HTTP 503"):
        fetched("foodseg103")
    server.script, hub.refusal = [Reply()], None
    server.asked.clear()
    fetched("foodseg103")
    assert [asked["Range"] for asked in server.asked] == ["bytes=1000-"]
    assert "revision" not in record()


@pytest.mark.usefixtures("server")
def test_a_pinned_archive_has_no_substitute(hub: Hub) -> None:
    """The hash is the archive's."""
    with pytest.raises(SourceError, match=r"HTTP 502.*without download.sha256, the archive's: dvc exp run"):
        fetched("foodseg103", sha256="0" * 64)
    assert hub.asked == []
    listing = str((fetched("foodseg103@hub"), record())[1]["sha256"])
    fetched("foodseg103@hub", sha256=listing)
    with pytest.raises(SourceError, match=f"SHA-256 is {listing}, download.sha256 asks for 0000"):
        fetched("foodseg103@hub", sha256="0" * 64)


def test_a_cut_transfer_resumes_and_a_cached_one_needs_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own cache is used; without network what is there is enough."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    hub.cut_after = [150]
    before = fetched("foodseg103@hub")
    assert "bytes=100-" in {asked for _, _, asked in hub.asked}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert fetched("foodseg103@hub") == before
    assert hub.asked == []


def test_offline_is_told_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked; the message says what else would do."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=r"not in the hub's cache, and HF_HUB_OFFLINE is set; unset it; .*/path/Food"):
        fetched("foodseg103@hub")
    assert hub.asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"127.0.0.1:9 cannot be reached; check the network, or set HF_ENDPOINT"):
        fetched("foodseg103@hub")


def test_other_bytes_are_refused_and_fetched_anew(hub: Hub) -> None:
    """Before the transfer, if the hub states another hash than is pinned; after it, if it sends other bytes."""
    good, before = dict(hub.files), fetched("foodseg103@hub")
    hub.files[FILES[0]] = good[FILES[0]][::-1]
    hub.asked.clear()
    with pytest.raises(SourceError, match=rf"{FILES[0]} has SHA-256 \w+ there, not \w+: it was replaced"):
        fetched("foodseg103@hub")
    assert not any(path.startswith("/blob") for _, path, _ in hub.asked)
    hub.files = good
    (blob,) = (path for path in Path(constants.HF_HUB_CACHE).rglob(Path(FILES[1]).name))
    blob.resolve().write_bytes(b"damaged")
    with pytest.raises(SourceError, match="not .*; run the same command again to fetch it anew"):
        fetched("foodseg103@hub")
    assert fetched("foodseg103@hub") == before


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((401, "GatedRepo"), r"asks to accept conditions; open that page, accept, then log in by `hf auth login`"),
        (
            (401, "RepoNotFound"),
            r"is gone, or the hub asks for a login; log in by `hf auth login`, or export HF_TO",
        ),
        ((403, ""), r"the hub refuses \(403\); log in by `hf auth login`"),
        ((500, ""), r"500.*; run the same command again to go on"),
    ],
)
def test_a_refusal_is_one_line_with_its_remedy(hub: Hub, refusal: tuple[int, str], message: str) -> None:
    """And with what else to try, ready to paste."""
    hub.refusal = refusal
    with pytest.raises(SourceError, match=message + ".*dataset=/path/FoodSeg103.zip, or its authors' server") as caught:
        fetched("foodseg103@hub")
    assert "\n" not in str(caught.value)


def test_a_copy_without_the_revision_is_not_taken(hub: Hub) -> None:
    """Whatever else it has now."""
    hub.commit = "f" * 40
    with pytest.raises(SourceError, match=r"has no commit 34e1208 any more, so it may hold other photos"):
        fetched("foodseg103@hub")


def test_room_is_asked_for_before_the_transfer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the Parquet files and what is unpacked from them."""
    size = sum(map(len, hub.files.values()))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2 * size - 1})())
    with pytest.raises(SpaceError, match="are needed here"):
        fetched("foodseg103@hub")
    assert not any("/resolve/" in path for _, path, _ in hub.asked)


@pytest.mark.parametrize("name", ["../../evil.jpg", "/etc/evil.jpg", ".hidden.jpg", "evil.sh", "other.jpg"])
def test_names_are_those_of_photos(hub: Hub, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Of a folder nothing is taken, and a photo has the name of its label map."""
    row = {"image": {"bytes": b"x", "path": name}, "label": {"bytes": b"y", "path": "evil.png"}}
    pq.write_table(pa.Table.from_pylist([row]), target := io.BytesIO())
    hub.files[FILES[0]] = target.getvalue()
    pin(hub, monkeypatch)
    if name.endswith("/evil.jpg"):
        assert "Images/img_dir/train/evil.jpg" in fetched("foodseg103@hub")
    else:
        with pytest.raises(SourceError, match="not those of a photo and its label map"):
            fetched("foodseg103@hub")
