"""Every kind of source ends in the same data/raw."""

import functools
import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.stages import DemoParams, DownloadParams
from pipeline.runtime.errors import ArchiveError, DatasetError, ParamsError, SourceError
from pipeline.steps.download import download
from tests.raw_folder import OFFICIAL

RECORD = Path("data/source.json")


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty checkout."""
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path / "checkout"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Pack a small data set."""
    (tmp_path / "web").mkdir()
    return pack(tmp_path / "web/Food.zip", OFFICIAL)


@pytest.fixture
def web(archive: Path) -> Iterator[str]:
    """Serve the archive's folder on loopback."""
    handler = functools.partial(QuietHandler, directory=str(archive.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    """Python's plain file server: it tells the date and ignores ranges."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def pack(path: Path, content: dict[str, bytes]) -> Path:
    """Write an archive with the official top folder."""
    with zipfile.ZipFile(path, "w") as target:
        for name, body in content.items():
            target.writestr(f"FoodSeg103/{name}", body)
    return path


def params(source: str | Path, **changes: Any) -> DownloadParams:
    """Return the settings of the stage, a tiny demo among them."""
    values: dict[str, Any] = {
        "source": str(source),
        "sha256": None,
        "password": "LARCdataset9947",
        "max_gigabytes": 1.0,
        "max_files": 1000,
        "attempts": 2,
        "timeout": 2.0,
        "extra": {},
        "demo": DemoParams(train_photos=2, test_photos=1, seed=0),
    }
    return DownloadParams(**values | changes)


def content(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder by its path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def run(source: str | Path, **changes: Any) -> dict[str, bytes]:
    """Run the step and return what it published."""
    download(params(source, **changes), raw=Path("data/raw"), record=RECORD, workers=1)
    return content(Path("data/raw"))


def leftovers(checkout: Path) -> list[str]:
    """Return names of unfinished work."""
    return sorted(p.name for p in (checkout / ".unfinished").glob("download-*") if p.suffix != ".lock")


def test_path_and_urls_give_the_same_bytes(archive: Path, web: str, checkout: Path) -> None:
    """And leave nothing unfinished; the record names the archive, not the machine."""
    expected = run(archive)
    assert run(archive.as_uri()) == expected
    assert run(f"{web}/Food.zip") == expected
    record = json.loads(RECORD.read_bytes())
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert record == {"sha256": sha256, "bytes": archive.stat().st_size, "name": "Food.zip"}
    assert expected == OFFICIAL
    assert leftovers(checkout) == []


def test_a_folder_gives_the_same_photos(archive: Path, tmp_path: Path, checkout: Path) -> None:
    """With the hash of its listing as record."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "folder")
    files = run(tmp_path / "folder")
    assert json.loads(RECORD.read_bytes())["name"] == "FoodSeg103"
    assert files == OFFICIAL
    assert leftovers(checkout) == []


def test_every_way_of_packing_gives_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    """A tar with a needless folder, and a folder with lists as Windows programs save them, in another order."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "kaggle/archive")
    shutil.make_archive(str(tmp_path / "Food"), "gztar", tmp_path / "kaggle")
    names = tmp_path / "kaggle/archive/FoodSeg103/category_id.txt"
    names.write_bytes(b"\xef\xbb\xbf1\tCandy\r\n0\tbackground\r\n")
    (names.parent / "Readme.txt").write_bytes(b"read me")
    (names.parent / "ImageSets/train.txt").write_bytes(b"00000001.jpg\r\n")
    assert run(archive) == run(tmp_path / "Food.tar.gz") == run(tmp_path / "kaggle") == OFFICIAL


def test_a_data_set_in_coco_arrives_as_it_is(tmp_path: Path) -> None:
    """Stage `index` reads it; what belongs to it is told by the same rule for all formats."""
    files = {"annotations/train.json": b"{}", "images/1.jpg": b"photo 1", "notes.md": b"mine"}
    for name, body in files.items():
        (tmp_path / "coco" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "coco" / name).write_bytes(body)
    del files["notes.md"]
    assert run(tmp_path / "coco") == files


@pytest.mark.parametrize("unpacked", [False, True])
def test_files_that_no_list_names_are_named(tmp_path: Path, unpacked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an archive and of a folder: they are copied, and no later stage uses them."""
    more = {f"Images/{part}/train/IMG_1.{end}": b"x" for part, end in (("img_dir", "HEIC"), ("ann_dir", "png"))}
    source = pack(tmp_path / "more.zip", OFFICIAL | more)
    if unpacked:
        with zipfile.ZipFile(source) as opened:
            opened.extractall(tmp_path / "unpacked")
        source = tmp_path / "unpacked"
    run(source)
    said = capsys.readouterr().err
    assert "ignored 2 files that no list in ImageSets names: 'Images/ann_dir/train/IMG_1.png', 'Images/img" in said


def test_the_demo_takes_the_way_of_an_archive(checkout: Path) -> None:
    """Generated, packed, encrypted, extracted; the same bytes again the next time."""
    first = run("demo")
    assert sum(name.startswith("Images/img_dir/train/") for name in first) == 2
    assert sum(name.startswith("Images/ann_dir/test/") for name in first) == 1
    assert json.loads(RECORD.read_bytes())["name"] == "demo.zip"
    assert run("demo") == first
    assert leftovers(checkout) == []


def test_the_demo_needs_a_password() -> None:
    """Since it is packed like the official archive."""
    with pytest.raises(ParamsError, match=r"download\.password is empty"):
        run("demo", password=None)


def test_the_hash_is_printed_or_compared(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recorded and printed where none is pinned."""
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    run(archive)
    assert f"SHA-256 {sha256} (set download.sha256 to insist on it)" in capsys.readouterr().err
    run(archive, sha256=sha256)
    assert "to insist" not in capsys.readouterr().err
    with pytest.raises(SourceError, match=f"SHA-256 is {sha256}, download.sha256 asks for 0000"):
        run(archive, sha256="0" * 64)
    assert archive.is_file()


def test_a_fetched_file_with_a_wrong_hash_is_fetched_anew(archive: Path, web: str) -> None:
    """The next run does not go on with the wrong bytes."""
    good = archive.read_bytes()
    sha256 = hashlib.sha256(good).hexdigest()
    archive.write_bytes(good[::-1])
    with pytest.raises(SourceError, match="fetch it anew"):
        run(f"{web}/Food.zip", sha256=sha256)
    archive.write_bytes(good)
    assert run(f"{web}/Food.zip", sha256=sha256)["category_id.txt"] == OFFICIAL["category_id.txt"]


def test_a_failure_leaves_the_published_data_alone(archive: Path, web: str) -> None:
    """Whatever is wrong with the new source."""
    before = run(archive)
    (archive.parent / "page.zip").write_text("<html>", encoding="utf-8")
    (archive.parent / "page.html").write_text("<html>", encoding="utf-8")
    for source, error in (("page.zip", ArchiveError), ("page.html", SourceError), ("absent.zip", SourceError)):
        with pytest.raises(error):
            run(f"{web}/{source}")
    assert content(Path("data/raw")) == before


def test_the_bounds_reach_the_archive(archive: Path) -> None:
    """Size and number come from the settings."""
    with pytest.raises(ArchiveError, match=r"download\.max_files allows 3"):
        run(archive, max_files=3)
    with pytest.raises(ArchiveError, match=r"download\.max_gigabytes allows 10\.0B"):
        run(archive, max_gigabytes=1e-8)


def test_extra_photos_join_and_leave(archive: Path, tmp_path: Path) -> None:
    """They are part of data/raw exactly while the settings name them."""
    (tmp_path / "mine/train").mkdir(parents=True)
    (tmp_path / "mine/train/a.jpg").write_bytes(b"photo")
    with pytest.raises(DatasetError, match="no mask and no prompts"):
        run(archive, extra={"ketchup": str(tmp_path / "mine")})
    (tmp_path / "mine/train/a.mask.png").write_bytes(b"mask")
    files = run(archive, extra={"ketchup": str(tmp_path / "mine")})
    assert files["extra/ketchup/train/a.mask.png"] == b"mask"
    assert not [name for name in run(archive) if name.startswith("extra")]


def test_extra_photos_are_checked_before_anything_is_fetched(web: str, tmp_path: Path) -> None:
    """Nobody waits for a gigabyte to learn of a missing mask."""
    (tmp_path / "mine/train").mkdir(parents=True)
    (tmp_path / "mine/train/a.jpg").write_bytes(b"photo")
    with pytest.raises(DatasetError):
        run(f"{web}/absent.zip", extra={"ketchup": str(tmp_path / "mine")})


def test_a_newer_archive_does_not_inherit_files(archive: Path, checkout: Path) -> None:
    """After an extraction that failed half-way, the archive is replaced under the same path."""
    with zipfile.ZipFile(archive, "a") as damaged:
        damaged.writestr("FoodSeg103/Images/img_dir/train/00000003.jpg", b"old photo")
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"photo 2", b"photo X", 1))
    with pytest.raises(ArchiveError, match="damaged"):
        run(archive)
    assert leftovers(checkout)
    pack(archive, OFFICIAL)
    files = run(archive)
    assert files == OFFICIAL
    assert leftovers(checkout) == []


def test_a_folder_may_be_called_like_foodseg103(archive: Path, checkout: Path) -> None:
    """What lies there is taken; only the three names of the release itself ask a server."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(checkout / "foodseg103@backup", pwd=b"LARCdataset9947")
    assert run("foodseg103@backup") == run(archive)
