"""Photos of samples, held to what stage `index` read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pipeline.datasets.index import IndexedSample, read_samples
from pipeline.datasets.photos import read_masks, read_photo_of
from pipeline.imaging.decode import read_photo
from pipeline.params.stages import IndexParams, PairParams, SegmentParams
from pipeline.runtime.errors import DatasetError, EmptyMaskError, ManifestError
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks
from pipeline.steps.show import write_sheet
from tests.raw_folder import RawFolder, flip_bit, labels_of, noise


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RawFolder:
    """Make two photos as JPEG, indexed."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = RawFolder(tmp_path / "raw")
    for split in ("train", "test"):
        raw.add(split, split, labels_of(1, 2))
        Pillow.fromarray(noise(8, 10, len(split))).save(raw.photo(split, split), "JPEG")
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=raw.path, index=tmp_path / "index", workers=1)
    return raw


def test_every_flipped_bit_of_a_photo_is_refused(data: RawFolder) -> None:
    """Decoders notice few of them: most make another photo without an error."""
    path = data.photo("test", "test")
    sample = next(s for s in read_samples(data.path.parent / "index/samples.parquet") if s.split == "test")
    whole = path.read_bytes()
    decoded = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            read_photo(path)
            decoded += 1
        except DatasetError:
            pass
        with pytest.raises(DatasetError, match="test.png: is another one than stage `index` read"):
            read_photo_of(sample, data.path)
    assert decoded > len(whole) // 2
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_photo_of(sample, data.path), read_photo(path))


def test_a_contact_sheet_shows_no_damaged_photo(data: RawFolder) -> None:
    """`show` reads photos anew, and holds them to the sample table too."""
    folder = data.path.parent
    samples = folder / "index/samples.parquet"
    write_masks(
        SegmentParams(source="annotation", photos_per_file=9),
        raw=data.path, samples=samples, masks=folder / "masks", workers=1,
    )  # fmt: skip
    write_shards(
        PairParams(image_size=16, fill=0, pad=0, photos_per_file=9), source="annotation",
        raw=data.path, samples=samples, masks=folder / "masks", shards=folder / "shards", workers=1,
    )  # fmt: skip
    chosen = [IndexedSample(row, s) for row, s in enumerate(s for s in read_samples(samples) if s.split == "test")]
    write_sheet(chosen, raw=data.path, shards=folder / "shards", sheet=folder / "sheet.png")
    flip_bit(data.photo("test", "test"))
    with pytest.raises(DatasetError, match="test.png: is another one than stage `index` read"):
        write_sheet(chosen, raw=data.path, shards=folder / "shards", sheet=folder / "sheet.png")


def test_the_mask_of_a_sample_is_the_pixels_of_its_id(data: RawFolder) -> None:
    """Exactly these, also as an extra category's binary mask; without such a pixel the sample is named."""
    samples = [s for s in read_samples(data.path.parent / "index/samples.parquet") if s.split == "test"]
    masks = read_masks(samples, data.path)
    assert list(masks) == ["test/test/1", "test/test/2"]
    for value in (1, 2):
        np.testing.assert_array_equal(masks[f"test/test/{value}"], labels_of(1, 2) == value)
    with pytest.raises(EmptyMaskError, match="test/test/1: no pixel"):
        read_masks([replace(samples[0], mask_value=3)], data.path)
    with pytest.raises(ManifestError, match="test/test/1: its counts are no compressed RLE; run `dvc repro -f index`"):
        read_masks([replace(samples[0], rle=b"~")], data.path)
