"""Step probe on small real folders."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from pipeline.datasets.shards import Shards
from pipeline.evaluation.probe import FEATURE_SETS, read_probe
from pipeline.imaging.letterbox import letterbox_mask, letterbox_rect
from pipeline.models.card import CARD
from pipeline.params.stages import IndexParams, PairParams, ProbeParams, SegmentParams
from pipeline.runtime.errors import DatasetError, ModelError
from pipeline.steps import probe as step
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.probe import context_box, probe
from pipeline.steps.segment import write_masks
from tests.raw_folder import RawFolder, labels_of
from tests.small_run import backbone_card

PARAMS = ProbeParams(folds=3, batch_size=4, threads=1, seed=0)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make 12 photos with 2 or 3 samples each, up to their shards in files of five photos, and two backbones."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = RawFolder(tmp_path / "raw")
    for number in range(12):
        labels = labels_of(*[1, 2, 7][number % 2 :], height=40 + number, width=60 - 3 * number)
        raw.add("test" if number % 3 == 0 else "train", f"{number:08d}", labels, seed=number)
    table = tmp_path / "index/samples.parquet"
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=raw.path, index=tmp_path / "index", workers=1)
    segment = SegmentParams(source="annotation", photos_per_file=3)
    write_masks(segment, raw=raw.path, samples=table, masks=tmp_path / "masks", workers=1)
    write_shards(
        PairParams(image_size=32, fill=0, pad=125, photos_per_file=5),
        source="annotation",
        raw=raw.path,
        samples=table,
        masks=tmp_path / "masks",
        shards=tmp_path / "shards",
        workers=1,
    )
    tiny = backbone_card("tiny")
    for card in (tiny, tiny.model_copy(update={"name": "none", "timm": None, "input_size": 0})):
        (tmp_path / "weights" / card.name).mkdir(parents=True)
        card.write(tmp_path / "weights" / card.name / CARD)
    return tmp_path


def probed(data: Path, output: str, params: ProbeParams = PARAMS, backbone: str = "tiny") -> Path:
    """Run the step; return the folder it wrote."""
    probe(
        params,
        backbone=backbone,
        source="annotation",
        shards=data / "shards",
        raw=data / "raw",
        samples=data / "index/samples.parquet",
        weights=data / "weights",
        output=data / output,
        device="cpu",
    )
    return data / output


def test_every_sample_is_tested_once_by_every_classifier(data: Path) -> None:
    """The summary counts what the table holds."""
    folder = probed(data, "once")
    summary, table = read_probe(folder), pq.read_table(folder / "predictions.parquet").to_pydict()
    assert [row.views for row in summary.rows] == list(FEATURE_SETS)
    assert (summary.photos, summary.samples, summary.weights, summary.nothing_outside) == (12, 30, None, 0)
    assert len(set(table["sample_id"])) == summary.samples
    assert summary.without_same_food == 0  # each fold has every food twice
    for row in summary.rows:
        right = np.array(table["+".join(row.views)]) == table["target"]
        assert row.top1.value == pytest.approx(right.mean(), abs=1e-6)
        assert row.features == 16 * len(row.views)


def test_the_size_of_a_batch_changes_features_by_rounding_alone(data: Path) -> None:
    """The same parameters give the same bytes."""
    written = [{path.name: path.read_bytes() for path in probed(data, name).iterdir()} for name in ("one", "two")]
    assert written[0] == written[1]
    branch = step._frozen_branch(backbone_card("tiny"), data / "weights/tiny", 32, 0)
    looks = [
        step._extract_features(
            branch, Shards(data / "shards"), data / "raw", data / "index/samples.parquet", size
        ).views
        for size in (1, 7)
    ]
    for name, features in looks[0].items():
        np.testing.assert_allclose(features, looks[1][name], atol=1e-6)


def test_without_folds_the_data_sets_own_split_is_kept(data: Path) -> None:
    """Four photos of the test split are tested."""
    folder = probed(data, "split", PARAMS.model_copy(update={"folds": 0}))
    table = pq.read_table(folder / "predictions.parquet").to_pydict()
    assert read_probe(folder).photos == len(set(table["photo_id"])) == 4
    assert all(photo.startswith("test/") for photo in table["photo_id"])


def test_the_absent_branch_and_strange_shards_are_refused(data: Path) -> None:
    """In one line that says what to do."""
    with pytest.raises(ModelError, match=r"probe\.backbones: 'none' is the absent branch"):
        probed(data, "none", backbone="none")
    table = data / "index/samples.parquet"
    pq.write_table(pq.read_table(table).slice(1), table, write_page_checksum=True)
    with pytest.raises(DatasetError, match="holds other samples than the table; run `dvc repro -f pair`"):
        probed(data, "strange")


@pytest.mark.parametrize(("height", "width"), [(400, 300), (300, 400), (64, 64)])
def test_the_box_with_context_is_the_foods_grown_by_half(height: int, width: int) -> None:
    """Within a pixel of the square, and never beyond the photo."""
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : height // 2, width // 2 :] = True
    rect = letterbox_rect(height, width, size=64)
    left, top, right, bottom = context_box(
        letterbox_mask(mask, size=64, rect=rect), rect, Pillow.new("RGB", (width, height))
    )
    pixel = max(height, width) / 64 + 1
    assert top == pytest.approx(height * (1 / 4 - 1 / 16), abs=pixel)
    assert bottom == pytest.approx(height * (1 / 2 + 1 / 16), abs=pixel)
    assert left == pytest.approx(width * (1 / 2 - 1 / 8), abs=pixel)
    assert right == width
