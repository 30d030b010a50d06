"""Folders by URL: read as the same folder here, from a real S3 server on loopback and from memory."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from torch.utils.data import DataLoader
from typer.testing import CliRunner

from pipeline.api import ShardDataset, arrow_tables
from pipeline.cli.app import app
from pipeline.datasets.shards import Shards
from pipeline.params.stages import PairParams, SegmentParams
from pipeline.runtime.errors import DatasetError, ManifestError, SourceError, WeightsError, without_secrets
from pipeline.runtime.manifest import MANIFEST
from pipeline.runtime.stores import RemoteFolder, in_mirror, open_local, place_of
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks, write_prompted_masks
from tests.mirrors import bucket_served, change, stored
from tests.raw_folder import labels_of
from tests.small_run import random_batch, select
from tests.training_data import write_shards_of
from tests.unit.demo.test_dataset import contents
from tests.unit.steps.test_segment_prompted import SAM, folder_of, indexed, stored_weights

ANNOTATION = SegmentParams(source="annotation", photos_per_file=2, reference_only=True)
PLACES = {"raw": Path("data/raw"), "samples": Path("data/index/samples.parquet")}
OF_SAM = {"weights": Path("data/mask_weights/sam"), "masks": Path("data/masks/sam"), "device": "cpu"}


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Serve S3 and return the URL of a bucket; credentials and endpoint come from where its own tools look."""
    with bucket_served() as url:
        yield url


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 12 training samples in four files."""
    batch = random_batch(12)
    parts = [select(batch, range(first, first + 3)) for first in range(0, 12, 3)]
    return write_shards_of(tmp_path_factory.mktemp("data") / "shards", {"train": parts})


def test_shards_by_url_are_read_as_those_here(shards: Path, bucket: str, tmp_path: Path) -> None:
    """NumPy, Arrow, torch with processes of its own, and export."""
    url = stored(shards, f"{bucket}/study/shards")
    here, there = (Shards(place_of(place)).read("train") for place in (shards, url))
    assert there.sample_ids == here.sample_ids
    for name in ("roi", "extra_roi", "masks", "targets", "rects"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))
    assert list(arrow_tables(url, "train")) == list(arrow_tables(shards, "train"))
    loaded = DataLoader(ShardDataset(url, "train"), batch_size=None, num_workers=2)
    assert sorted(sample.sample_id for sample in loaded) == sorted(here.sample_ids)
    for place, out in ((str(shards), "here"), (url, "there")):
        asked = ["export", "--format", "folders", "--shards", place, "--workers", "1", "--out", str(tmp_path / out)]
        assert CliRunner().invoke(app, asked).exit_code == 0
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_a_stored_shard_is_checked_as_one_here(shards: Path) -> None:
    """A changed byte, a file or manifest that is not there; each names the URL and what to do."""
    url = stored(shards, "memory://changed")
    content = (shards / "train-00001.parquet").read_bytes()
    change(f"{url}/train-00001.parquet", content[:-1] + b"x")
    with pytest.raises(ManifestError, match=r"^memory://changed/train-00001.parquet: bytes differ .*copy the folder"):
        Shards(place_of(url)).read("train")
    fsspec.filesystem("memory").rm("/changed/train-00001.parquet")
    with pytest.raises(
        ManifestError, match=r"^memory://changed/train-00001.parquet: listed .* absent; copy the folder"
    ):
        Shards(place_of(url)).read("train")
    with pytest.raises(ManifestError, match=rf"^memory://nowhere/{MANIFEST}: absent; copy the folder there again$"):
        Shards(place_of("memory://nowhere"))


@pytest.mark.parametrize("url", ["nosuch://bucket/shards", "gs://bucket/shards"])
def test_a_store_that_does_not_answer_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown scheme; a store whose package is not installed."""
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(SourceError, match=rf"^{url}: .*check the URL, the credentials and the network"):
        Shards(place_of(url))


def test_a_lent_file_is_gone_afterwards_and_one_here_stays(tmp_path: Path) -> None:
    """No copy is left behind, whatever happens meanwhile."""
    change("memory://lent/a/b.txt", b"b")
    with pytest.raises(KeyError), open_local(RemoteFolder("memory://lent"), "a/b.txt") as path:
        assert path.read_bytes() == b"b"
        raise KeyError
    assert not path.exists()
    (tmp_path / "b.txt").write_bytes(b"b")
    with open_local(tmp_path, "b.txt") as path:
        pass
    assert path.exists()


def test_messages_show_no_secrets() -> None:
    """Neither user and password nor a signed query."""
    assert without_secrets("https://me:p@ss@host:8080/a.zip?sig=1#x") == "https://host:8080/a.zip"
    assert str(RemoteFolder("s3://key:secret@bucket/a/")) == "s3://bucket/a"


def test_a_path_stays_a_path_and_a_mirror_holds_the_checkouts_folders() -> None:
    """Only what has a scheme lies elsewhere."""
    assert place_of("data/shards") == place_of(Path("data/shards")) == Path("data/shards")
    assert in_mirror(Path("data/raw"), None) == Path("data/raw")
    assert in_mirror(Path("data/raw"), "s3://b/study/") == RemoteFolder("s3://b/study/data/raw")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a checkout with a small data set and its sample table."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    raw = folder_of(tmp_path / "data/raw", [labels_of(1, 2), labels_of(7), labels_of(2, 7), labels_of(1)])
    indexed(raw)
    (tmp_path / "data/raw-index").rename(tmp_path / "data/index")
    (tmp_path / "data/mask_weights").mkdir()
    stored_weights(tmp_path / "data/mask_weights", "sam")
    return tmp_path


def carry_out(mirror: str | None) -> dict[str, bytes]:
    """Segment by annotation and by SAM, and pair; return the bytes of all masks and shards."""
    if mirror:
        stored(Path("data"), f"{mirror}/data")
        shutil.rmtree("data/raw")  # nothing here is read
    write_masks(ANNOTATION, **PLACES, masks=Path("data/masks/annotation"), workers=1, mirror=mirror)
    write_prompted_masks(SAM, **PLACES, **OF_SAM, mirror=mirror)
    if mirror:
        stored(Path("data/masks"), f"{mirror}/data/masks")
    views = PairParams(image_size=16, fill=0, pad=125, photos_per_file=2)
    masks, out = Path("data/masks/sam"), Path("data/shards/sam")
    write_shards(views, source="sam", **PLACES, masks=masks, shards=out, workers=1, mirror=mirror)
    return contents(Path("data/masks")) | {f"shards/{name}": content for name, content in contents(out).items()}


@pytest.mark.usefixtures("study")
def test_masks_and_shards_of_a_mirror_are_those_of_the_data_here(bucket: str) -> None:
    """From S3, to the last byte."""
    expected = carry_out(None)
    shutil.rmtree("data/masks")
    assert carry_out(f"{bucket}/study") == expected
    assert len(expected) > 4


@pytest.mark.parametrize("kind", ["img_dir", "ann_dir"])
def test_a_mirror_of_other_files_is_refused(study: Path, kind: str) -> None:
    """Photos and label maps by their hash; each named by URL."""
    stored(study / "data", "memory://other/data")
    path = f"data/raw/Images/{kind}/train/00000000.png"
    change(f"memory://other/{path}", (study / path).with_stem("00000001").read_bytes())
    with pytest.raises(DatasetError, match=rf"^memory://other/{path}: is another one than stage `index` .* copy"):
        write_masks(ANNOTATION, **PLACES, masks=Path("data/masks/annotation"), workers=1, mirror="memory://other")
        write_prompted_masks(SAM, **PLACES, **OF_SAM, mirror="memory://other")


@pytest.mark.parametrize("kind", ["img_dir", "ann_dir"])
def test_a_mirror_that_lacks_a_file_is_refused(study: Path, kind: str) -> None:
    """It names the file and says what to do."""
    stored(study / "data", "memory://lacking/data")
    fsspec.filesystem("memory").rm(f"/lacking/data/raw/Images/{kind}/test", recursive=True)
    named = f"^memory://lacking/data/raw/Images/{kind}/test/.*: is not there; copy data/raw to"
    with pytest.raises(DatasetError, match=named):
        write_prompted_masks(SAM, **PLACES, **OF_SAM, mirror="memory://lacking")


def test_a_mirror_of_other_weights_is_refused(study: Path) -> None:
    """Before any photo is looked at."""
    stored(study / "data", "memory://weights/data")
    change("memory://weights/data/mask_weights/sam/tiny.safetensors", b"others")
    with pytest.raises(WeightsError, match=r"sam/tiny.safetensors: is another one than here; copy data/mask_weights"):
        write_prompted_masks(SAM, **PLACES, **OF_SAM, mirror="memory://weights")
    fsspec.filesystem("memory").rm("/weights/data/mask_weights/sam/tiny.safetensors")
    with pytest.raises(WeightsError, match=r"sam/tiny.safetensors: is not there; copy data/mask_weights to runtime"):
        write_prompted_masks(SAM, **PLACES, **OF_SAM, mirror="memory://weights")
