"""Step segment on small real folders."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.masks import Masks, StoredMask
from pipeline.params.stages import IndexParams, SegmentParams
from pipeline.runtime.errors import DatasetError
from pipeline.runtime.manifest import MANIFEST
from pipeline.steps.index import build_index
from pipeline.steps.segment import write_masks
from tests.raw_folder import RawFolder, flip_bit, labels_of, save

PARAMS = SegmentParams(source="annotation", photos_per_file=2)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RawFolder:
    """Make five photos with seven samples, one of an extra category with a box and one with a mask."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    folder = RawFolder(tmp_path / "raw")
    for number, values in enumerate([(1, 2), (7,), (2, 7)]):
        folder.add("train", f"0000000{number}", labels_of(*values), seed=number)
    folder.add("test", "00000009", labels_of(1), seed=9)
    folder.add_extra("ketchup", "test", "bottle", labels_of(255), seed=10)
    prompts = folder.add_extra("chili paste", "test", "bowl", None, seed=11) / "prompts.csv"
    prompts.write_text("photo,kind,x0,y0,x1,y1\nbowl.png,box,2,2,6,6\n")
    return folder


def segment(raw: RawFolder, *, workers: int = 1, name: str = "masks") -> Path:
    """Index and segment; return the folder of masks."""
    index = raw.path.parent / "index"
    build_index(IndexParams(on_error="fail", tiny_area=10), raw=raw.path, index=index, workers=1)
    masks = raw.path.parent / name
    write_masks(PARAMS, raw=raw.path, samples=index / "samples.parquet", masks=masks, workers=workers)
    return masks


def read(folder: Path, split: str) -> list[StoredMask]:
    """Return all masks of a split."""
    masks = Masks(folder)
    return masks.locate(split, 0, sum(e.rows for e in masks.manifest.files if e.split == split)).read(folder)


def test_the_stage_starts_without_torch(root: Path) -> None:
    """And so do its workers: torch takes seconds, and neither annotation nor GrabCut needs it."""
    code = "import sys, stages.segment; print({'torch', 'timm', 'torchvision'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "set()\n"


def test_every_sample_has_its_mask(raw: RawFolder) -> None:
    """Masks are those of the label maps, in the order of the sample table."""
    masks = read(segment(raw), "train")
    assert [mask.sample_id for mask in masks] == [
        "train/00000000/1", "train/00000000/2", "train/00000001/7", "train/00000002/2", "train/00000002/7",
    ]  # fmt: skip
    np.testing.assert_array_equal(masks[1].full(), labels_of(1, 2) == 2)
    assert {(mask.score, mask.prompts) for mask in masks} == {(1.0, None)}


def test_the_status_says_where_a_mask_came_from(raw: RawFolder) -> None:
    """Annotation is ok or tiny; a box without annotation was answered by GrabCut or stands in itself."""
    save(np.pad(np.ones((1, 3), np.uint8), ((0, 7), (0, 7))), raw.label_map("test", "00000009"))
    masks = read(segment(raw), "test")
    (tiny,) = (mask for mask in masks if mask.sample_id == "test/00000009/1")
    (boxed,) = (mask for mask in masks if mask.prompts is not None)
    (masked,) = (mask for mask in masks if mask.crop.shape == (1, 10))
    assert (tiny.status, masked.status) == ("tiny", "ok")
    assert boxed.status in {"grabcut", "empty"}
    assert boxed.full()[2:7, 2:7].sum() == boxed.full().sum() > 0
    assert (boxed.status == "empty") == (boxed.score == 0)


def test_the_number_of_workers_changes_no_byte(raw: RawFolder) -> None:
    """Same files, same bytes."""
    one, many = segment(raw, name="one"), segment(raw, workers=2, name="many")
    names = sorted(path.name for path in one.iterdir())
    assert names == [MANIFEST, "test-00000.parquet", "test-00001.parquet", "train-00000.parquet", "train-00001.parquet"]
    for name in names:
        assert (one / name).read_bytes() == (many / name).read_bytes()


def test_a_click_without_annotation_is_refused(raw: RawFolder) -> None:
    """The message names the sample and the way out."""
    (raw.path / "extra/chili paste/test/prompts.csv").write_text("photo,kind,x0,y0,x1,y1\nbowl.png,point,2,2,,\n")
    with pytest.raises(DatasetError, match=r"test/.*bowl.*: the point .* draw a box instead"):
        segment(raw)


def test_a_label_map_that_changed_since_index_is_refused(raw: RawFolder, tmp_path: Path) -> None:
    """One flipped bit is enough; the message names file and mend, and nothing is published."""
    segment(raw)
    arguments = {
        "raw": raw.path,
        "samples": tmp_path / "index/samples.parquet",
        "masks": tmp_path / "new",
        "workers": 1,
    }
    flip_bit(raw.label_map("train", "00000000"))
    with pytest.raises(DatasetError, match=r"00000000.png: is another one than stage `index` read; run `make mend`"):
        write_masks(PARAMS, **arguments)
    raw.label_map("train", "00000000").unlink()
    with pytest.raises(DatasetError, match=r"00000000.png: is not there; run `make mend`"):
        write_masks(PARAMS, **arguments)
    assert not (tmp_path / "new").exists()
