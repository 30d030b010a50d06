"""A run on photos of its own."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.index import read_samples
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.shards import Shards
from pipeline.evaluation.session import predict_logits
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.inference.predictor import Run, open_run
from pipeline.params.stages import IndexParams, PairParams, SegmentParams
from pipeline.runtime.errors import DatasetError, EmptyMaskError, ManifestError, ParamsError
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks
from tests.raw_folder import RawFolder, labels_of, noise
from tests.small_run import CATEGORIES, PAD, SIDE, write_small_run


@pytest.fixture(scope="module", params=[("roi",), ("extra_roi",), ("roi", "extra_roi"), ("photo",)], ids="+".join)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return an untrained run of either kind."""
    folder = tmp_path_factory.mktemp("run") / "run"
    return open_run(write_small_run(folder, request.param, fusion="mask_channel"), device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return photos of several shapes with their shards, made by the stages."""
    folder = tmp_path_factory.mktemp("data")
    raw = RawFolder(folder / "raw")
    for number, (height, width) in enumerate([(30, 40), (41, 23), (16, 16), (9, 200)]):
        raw.add("test", f"0000000{number}", labels_of(1, 2, 7, height=height, width=width), seed=number)
    raw.add("train", "00000009", labels_of(1))
    samples = folder / "index/samples.parquet"
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=raw.path, index=folder / "index", workers=1)
    settings = SegmentParams(source="annotation", photos_per_file=3)
    write_masks(settings, raw=raw.path, samples=samples, masks=folder / "masks", workers=1)
    write_shards(
        PairParams(image_size=SIDE, fill=0, pad=PAD, photos_per_file=9),
        source="annotation",
        raw=raw.path,
        samples=samples,
        masks=folder / "masks",
        shards=folder / "shards",
        workers=1,
    )
    return folder


def views_of_photos(run: Run, data: Path) -> list[SampleBatch]:
    """Return what `predict` makes of each test photo and its annotation."""
    samples = [sample for sample in read_samples(data / "index/samples.parquet") if sample.split == "test"]
    return [
        run.views(
            read_photo(data / "raw" / sample.photo_path),
            [read_label_map(data / "raw" / str(sample.label_map_path)) == sample.mask_value],
            names=[sample.sample_id],
        )
        for sample in samples
    ]


def test_a_photo_with_its_annotation_is_its_sample_of_the_shards(run: Run, data: Path) -> None:
    """Byte for byte: the very pictures that `pair` stored, so the very logits that `evaluate` writes."""
    stored, made = Shards(data / "shards").read("test"), views_of_photos(run, data)
    assert stored.sample_ids == tuple(batch.sample_ids[0] for batch in made)
    for name in ("rects", "masks", "roi", "extra_roi"):
        np.testing.assert_array_equal(getattr(stored, name), np.concatenate([getattr(batch, name) for batch in made]))


def test_logits_do_not_depend_on_company(run: Run, data: Path) -> None:
    """Alone as among all, up to the rounding of another batch size; what looks alike gets the same."""
    stored = Shards(data / "shards").read("test")
    together = predict_logits(run.model, stored, run.device)
    alone = np.concatenate([run.logits(batch) for batch in views_of_photos(run, data)])
    np.testing.assert_allclose(alone, together, rtol=0, atol=2e-5)
    seen = np.concatenate([getattr(stored, name).reshape(len(stored), -1) for name in run.branches], axis=1)
    assert len(np.unique(together, axis=0)) == len(np.unique(seen, axis=0)) > 4  # photos; thin foods may share a pixel


def test_every_region_has_its_prediction_in_order(run: Run) -> None:
    """With the views it was made from and the run's temperature; no region, no prediction."""
    photo = noise(20, 30, 0)
    masks = [np.zeros((20, 30), bool) for _ in range(3)]
    for number, mask in enumerate(masks):
        mask[2 : 18 - 3 * number, 4 + 5 * number : 25] = True
    predictions = run.predict(photo, masks)
    batch = run.views(photo, masks)
    assert len(predictions) == 3
    for row, prediction in enumerate(predictions):
        np.testing.assert_array_equal(prediction.roi, batch.roi[row])
        np.testing.assert_array_equal(prediction.mask, batch.masks[row])
        assert prediction.class_names == CATEGORIES
        assert prediction.temperature == run.card.calibration.temperature
        np.testing.assert_allclose(prediction.logits, run.predict(photo, [masks[row]])[0].logits, atol=2e-5)
    assert run.predict(photo, []) == ()


def test_masks_that_do_not_fit_are_refused(run: Run) -> None:
    """Empty, or of another size; the message says which and how large."""
    photo = noise(20, 30, 0)
    with pytest.raises(EmptyMaskError, match="region 1: no pixel of the mask is set"):
        run.predict(photo, [np.zeros((20, 30), bool)])
    with pytest.raises(DatasetError, match="region 2: mask of 20 x 30 pixels for a photo of 30 x 20"):
        run.predict(photo, [np.ones((20, 30), bool), np.ones((30, 20), bool)])


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    """An absent run, and a device that is not there."""
    with pytest.raises(ManifestError, match="absent"):
        open_run(tmp_path, device="cpu")
    with pytest.raises(ParamsError, match="device"):
        open_run(write_small_run(tmp_path / "run", ("roi",)), device="tpu")
