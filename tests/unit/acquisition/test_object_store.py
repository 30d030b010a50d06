"""Data sets on object storage: a real S3 server on loopback."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from pipeline.acquisition.object_store import fetch_object, fetch_tree
from pipeline.params.stages import DemoParams, DownloadParams
from pipeline.runtime.errors import SourceError
from pipeline.steps.download import download
from tests.e2e.servers import BUCKET
from tests.mirrors import bucket_served
from tests.raw_folder import RawFolder, labels_of

PLENTY = 10**9
CONTENT = bytes(range(256)) * 10_000


def silent(_done: int, _total: int | None) -> None:
    """Report to nobody."""


@pytest.fixture(scope="module", autouse=True)
def endpoint() -> Iterator[None]:
    """Serve S3; credentials and endpoint come from where its own tools look."""
    with bucket_served():
        yield


def put(name: str, content: bytes) -> str:
    """Store an object; return its URL."""
    boto3.client("s3").put_object(Bucket=BUCKET, Key=name, Body=content)
    return f"s3://{BUCKET}/{name}"


def test_an_object_comes_as_it_is_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The second call reads from where the file ends, not from its start."""
    url = put("a.zip", CONTENT)
    path = fetch_object(url, tmp_path, max_bytes=PLENTY, report=silent)
    assert path.read_bytes() == CONTENT
    path.write_bytes(CONTENT[:1000])
    reports: list[int] = []
    assert fetch_object(url, tmp_path, max_bytes=PLENTY, report=lambda done, _: reports.append(done)) == path
    assert path.read_bytes() == CONTENT
    assert reports[0] == 1000


def test_an_object_that_changed_is_fetched_anew(tmp_path: Path) -> None:
    """Its beginning does not become part of the new one."""
    path = fetch_object(put("b.zip", CONTENT), tmp_path, max_bytes=PLENTY, report=silent)
    path.write_bytes(CONTENT[:1000])
    other = CONTENT[::-1]
    assert fetch_object(put("b.zip", other), tmp_path, max_bytes=PLENTY, report=silent).read_bytes() == other


def put_set(name: str) -> str:
    """Store a small data set in the official layout; return its URL."""
    for path in ("category_id.txt", "ImageSets/train.txt", "ImageSets/test.txt"):
        put(f"{name}/{path}", b"0 background")
    for split in ("train", "test"):
        put(f"{name}/Images/img_dir/{split}/1.jpg", b"photo")
        put(f"{name}/Images/ann_dir/{split}/1.png", b"label")
    return f"s3://{BUCKET}/{name}"


def test_a_file_of_a_folder_that_was_replaced_by_one_of_equal_size_is_fetched_anew(tmp_path: Path) -> None:
    """A label map that was mended keeps its size; between two tries of a download, in one process or two."""
    url = put_set("mended")
    fetch_tree(url, tmp_path / "tree", max_bytes=PLENTY, report=silent)
    put("mended/Images/ann_dir/train/1.png", b"other")
    fetch_tree(url, tmp_path / "tree", max_bytes=PLENTY, report=silent)
    assert (tmp_path / "tree/Images/ann_dir/train/1.png").read_bytes() == b"other"


def test_what_changes_while_it_is_fetched_is_told(tmp_path: Path) -> None:
    """No mixture of two versions passes, and the next try brings the new one."""
    url, changes = put_set("moving"), iter([b"after"])

    def change(_done: int, _total: int | None) -> None:
        for content in changes:
            put("moving/category_id.txt", content)

    with pytest.raises(SourceError, match="changed while it was fetched; run the same command again"):
        fetch_tree(url, tmp_path / "tree", max_bytes=PLENTY, report=change)
    fetch_tree(url, tmp_path / "tree", max_bytes=PLENTY, report=silent)
    assert (tmp_path / "tree/category_id.txt").read_bytes() == b"after"


def test_an_object_that_changes_while_it_is_fetched_is_told(tmp_path: Path) -> None:
    """Its parts are not joined."""
    other, (large, halves) = CONTENT[::-1], (CONTENT * 5, iter([True]))
    url = put("d.zip", large)

    def change(_done: int, _total: int | None) -> None:
        for _ in halves:
            put("d.zip", other * 5)

    with pytest.raises(SourceError, match=r"changed while it was fetched|no longer exists.*run the same command again"):
        fetch_object(url, tmp_path, max_bytes=PLENTY, report=change)
    assert fetch_object(url, tmp_path, max_bytes=PLENTY, report=silent).read_bytes() == other * 5


def test_a_folder_becomes_the_data_set_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the step: bytes and record as from the same folder on disk; what is not official stays there."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    local = RawFolder(tmp_path / "FoodSeg103")
    for split in ("train", "test"):
        local.add(split, f"{split}1", labels_of(1, 2))
    for path in local.path.rglob("*"):
        if path.is_file():
            put(f"sets/FoodSeg103/{path.relative_to(local.path).as_posix()}", path.read_bytes())
    put("sets/FoodSeg103/notes.txt", b"not official")
    params = DownloadParams(
        source=f"s3://{BUCKET}/sets/FoodSeg103", sha256=None, password="", max_gigabytes=1.0, max_files=100, attempts=1,
        timeout=1.0, extra={}, demo=DemoParams(train_photos=1, test_photos=1, seed=0),
    )  # fmt: skip
    download(params, raw=tmp_path / "stored", record=tmp_path / "stored.json", workers=1)
    download(
        params.model_copy(update={"source": str(local.path)}),
        raw=tmp_path / "copied",
        record=tmp_path / "b.json",
        workers=1,
    )
    names = sorted(path.relative_to(tmp_path / "copied") for path in (tmp_path / "copied").rglob("*") if path.is_file())
    assert len(names) == 7
    for name in names:
        assert (tmp_path / "stored" / name).read_bytes() == (tmp_path / "copied" / name).read_bytes()
    assert not (tmp_path / "stored/notes.txt").exists()
    assert (tmp_path / "stored.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    """It names the URL and what to look at."""
    with pytest.raises(SourceError, match=rf"s3://{BUCKET}/none.zip: .*check the URL, the credentials"):
        fetch_object(f"s3://{BUCKET}/none.zip", tmp_path, max_bytes=PLENTY, report=silent)
    with pytest.raises(SourceError, match=r"more than download.max_gigabytes allows"):
        fetch_object(put("c.zip", CONTENT), tmp_path, max_bytes=10, report=silent)
    put("other/a.txt", b"a")
    with pytest.raises(SourceError, match=r"found 1 file \(.txt\); expected the official layout"):
        fetch_tree(f"s3://{BUCKET}/other", tmp_path / "tree", max_bytes=PLENTY, report=silent)
