"""Step pair on small real folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pipeline.datasets import photos
from pipeline.datasets.index import read_samples
from pipeline.datasets.shards import Shards
from pipeline.imaging import decode
from pipeline.imaging.letterbox import letterbox
from pipeline.params.stages import IndexParams, PairParams, SegmentParams
from pipeline.runtime.errors import DatasetError, ManifestError
from pipeline.runtime.manifest import MANIFEST
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks
from tests.raw_folder import RawFolder, flip_bit, labels_of, save

PARAMS = PairParams(image_size=16, fill=0, pad=125, photos_per_file=2)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make five photos of several shapes with nine samples, indexed and segmented in files of three photos."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = RawFolder(tmp_path / "raw")
    shapes = [(8, 10), (30, 40), (41, 23), (16, 16), (9, 200)]
    for number, (height, width) in enumerate(shapes):
        labels = labels_of(*[1, 2, 7][number % 3 :], height=height, width=width)
        raw.add("train" if number else "test", f"0000000{number}", labels, seed=number)
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=raw.path, index=tmp_path / "index", workers=1)
    write_masks(
        SegmentParams(source="annotation", photos_per_file=3),
        raw=raw.path,
        samples=tmp_path / "index/samples.parquet",
        masks=tmp_path / "masks",
        workers=1,
    )
    return tmp_path


def shards_of(data: Path, params: PairParams = PARAMS, *, name: str = "shards", workers: int = 1) -> Path:
    """Write shards; return their folder."""
    write_shards(
        params,
        source="annotation",
        raw=data / "raw",
        samples=data / "index/samples.parquet",
        masks=data / "masks",
        shards=data / name,
        workers=workers,
    )
    return data / name


@pytest.mark.parametrize("fill", [0, 60, 255])
def test_rows_are_the_samples_and_views_add_up_to_their_photo(data: Path, fill: int) -> None:
    """Row by row: the sample's id and target, and ROI + extra-ROI = its own letterboxed photo + fill."""
    shards = Shards(shards_of(data, PairParams(image_size=16, fill=fill, pad=125, photos_per_file=2)))
    for split in ("train", "test"):
        samples = [sample for sample in read_samples(data / "index/samples.parquet") if sample.split == split]
        batch = shards.read(split)
        assert batch.sample_ids == tuple(sample.sample_id for sample in samples)
        assert batch.targets.tolist() == [sample.target for sample in samples]
        for row, sample in enumerate(samples):
            photo = letterbox(decode.read_picture(data / "raw" / sample.photo_path), size=16, pad=125).astype(int)
            top, left, height, width = batch.rects[row]
            inside = (slice(top, top + height), slice(left, left + width))
            total = batch.roi[row].astype(int) + batch.extra_roi[row]
            np.testing.assert_array_equal(total[inside], photo[inside] + fill)
            total[inside] = 250
            assert (total == 250).all()


def test_the_released_geometry_leaves_some_photos_one_pixel_short(data: Path) -> None:
    """Of the five, the one of 41 pixels: 41 x (47 / 41) rounds down to 46 in floating point. Laws stay."""
    params = PairParams(image_size=47, fill=0, pad=125, geometry="released", photos_per_file=2)
    batch = Shards(shards_of(data, params)).read("train")
    exact = Shards(shards_of(data, params.model_copy(update={"geometry": "exact"}), name="exact")).read("train")
    longest = [batch.rects[:, 2:].max(1), exact.rects[:, 2:].max(1)]
    assert (longest[1] == 47).all()
    assert set(longest[0]) == {46, 47}
    for row, (top, left, height, width) in enumerate(batch.rects.tolist()):
        assert (top, left) == ((47 - height + 1) // 2, (47 - width + 1) // 2)
        outside = np.ones((47, 47), np.bool_)
        outside[top : top + height, left : left + width] = False
        assert (batch.roi[row][outside] == 125).all()
        assert (batch.extra_roi[row][outside] == 125).all()
        assert not batch.masks[row][outside].any()


def test_masks_separate_the_samples_of_a_photo(data: Path) -> None:
    """Two categories of one photo have masks that do not overlap, each with pixels."""
    batch = Shards(shards_of(data)).read("test")
    assert batch.masks.any(axis=(1, 2)).all()
    assert batch.masks.sum(axis=0).max() == 1


def test_the_manifest_says_what_the_shards_are(data: Path) -> None:
    """Size, source and category names by target."""
    shards = Shards(shards_of(data))
    assert (shards.image_size, shards.manifest.source) == (16, "annotation")
    assert shards.categories == ("bread", "rice", "sauce")


def test_the_number_of_workers_changes_no_byte(data: Path) -> None:
    """Same files, same bytes."""
    one, many = shards_of(data, name="one"), shards_of(data, name="many", workers=2)
    names = sorted(path.name for path in one.iterdir())
    assert names == [MANIFEST, "test-00000.parquet", "train-00000.parquet", "train-00001.parquet"]
    for name in names:
        assert (one / name).read_bytes() == (many / name).read_bytes()


def test_a_photo_is_read_once_for_all_its_samples(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding costs as much as several cut-outs."""
    seen: list[Path] = []
    read = decode.read_picture
    monkeypatch.setattr(photos, "read_picture", lambda path: (seen.append(path), read(path))[1])
    shards_of(data)
    assert len(seen) == len(set(seen)) == 5


def test_an_interrupted_run_goes_on_where_it_stopped(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards finished before the interruption are not made again, and the result is the same."""
    whole = shards_of(data, name="whole")
    last = "00000004.png"
    read = decode.read_picture
    seen: list[str] = []

    def interrupt(path: Path) -> Pillow.Image:
        seen.append(path.name)
        if path.name == last and seen.count(last) == 1:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(photos, "read_picture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        shards_of(data)
    before = len(seen)
    resumed = shards_of(data)
    assert seen[before:] == ["00000003.png", "00000004.png", "00000000.png"]
    for path in whole.iterdir():
        assert path.read_bytes() == (resumed / path.name).read_bytes()


def test_a_photo_that_changed_since_index_is_refused(data: Path) -> None:
    """One flipped bit is enough; the message names file and mend, and nothing is published."""
    photo = data / "raw/Images/img_dir/train/00000003.png"
    flip_bit(photo)
    with pytest.raises(DatasetError, match=r"00000003.png: is another one than stage `index` read; run `make mend`"):
        shards_of(data)
    photo.unlink()
    with pytest.raises(DatasetError, match=r"00000003.png: is not there; run `make mend`, then `dvc repro`"):
        shards_of(data)
    assert not (data / "shards").exists()


def test_masks_of_another_index_are_refused(data: Path) -> None:
    """A sample table that grew or changed after segment does not fit its masks."""
    raw = data / "raw"
    save(labels_of(7, height=16, width=16), raw / "Images/ann_dir/train/00000003.png")
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=raw, index=data / "index", workers=1)
    with pytest.raises((DatasetError, ManifestError), match="run `dvc repro -f segment`"):
        shards_of(data)


def test_absent_masks_are_refused(data: Path) -> None:
    """The message names the manifest that is missing."""
    (data / "masks" / MANIFEST).unlink()
    with pytest.raises(ManifestError, match=r"masks/manifest.json: absent"):
        shards_of(data)
