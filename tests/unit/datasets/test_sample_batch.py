"""Whole photos from both views; extra-ROIs found by the photo's file name, as the released loader finds them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from pipeline.datasets.class_set import select_classes
from pipeline.datasets.sample_batch import SampleBatch, extra_roi_rows, share_visible
from pipeline.datasets.shards import Shards
from pipeline.evaluation.session import open_session
from pipeline.imaging.letterbox import cut_views, letterbox
from pipeline.params.stages import Geometry
from pipeline.training.dataset import load_split
from tests.small_run import CATEGORIES, PAD, SIDE, random_batch, select, write_small_run, write_small_shards
from tests.training_data import write_shards_of

FOODS = ("bread", "steak", "sauce", "cabbage", "ketchup")
IDS = ("test/1/1", "test/1/2", "test/1/3", "test/2/1", "test/2/4", "test/3/5")
TARGETS = np.array([0, 1, 2, 0, 3, 4])


def test_all_samples_of_a_photo_get_the_extra_roi_of_the_category_listed_last() -> None:
    """By hand: photo 1 has bread, steak and sauce, and steak is listed last; photo 3 has ketchup alone.

    Photo 2 has bread and cabbage. FoodSeg103 writes the latter with a leading blank, so the released label file, which
    is sorted as text, lists it before bread.
    """
    assert extra_roi_rows(IDS, TARGETS, FOODS, FOODS).tolist() == [1, 1, 1, 3, 3, 5]


def test_a_category_that_the_run_lacks_is_not_listed() -> None:
    """Without steak, photo 1 is paired with sauce; steak keeps its own, which nobody will look at."""
    classes = select_classes(FOODS, ("steak",)).names
    assert extra_roi_rows(IDS, TARGETS, FOODS, classes).tolist() == [2, 1, 2, 3, 3, 5]


@pytest.mark.parametrize(("photos", "samples", "percent"), [(2135, 7697, 72.3), (4983, 18179, 72.6)])
def test_of_the_official_splits_all_but_one_sample_a_photo_see_their_own_food(
    photos: int, samples: int, percent: float
) -> None:
    """2,135 of 7,697 test pairs and 4,983 of 18,179 train pairs are right, however foods are spread over photos."""
    ids = [f"s/{row % photos}/{row // photos}" for row in range(samples)]
    assert 100 * share_visible(ids) == pytest.approx(percent, abs=0.05)
    rows = extra_roi_rows(ids, np.zeros(samples, np.int64), ("food",), ("food",))
    assert (rows == np.arange(samples)).sum() == photos


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=30, unique=True))
def test_partners_are_of_the_same_photo_and_one_sample_a_photo_keeps_its_own(pairs: list[tuple[int, int]]) -> None:
    """Whatever the order of the samples; nothing crosses photos."""
    ids = [f"train/{photo}/{food}" for photo, food in pairs]
    rows = extra_roi_rows(ids, np.array([food for _, food in pairs]), FOODS, FOODS)
    assert [pairs[row][0] for row in rows] == [photo for photo, _ in pairs]
    assert (rows == np.arange(len(pairs))).mean() == pytest.approx(1 - share_visible(ids))


def test_every_reader_of_a_paired_folder_gives_the_same_extra_roi(tmp_path: Path) -> None:
    """Whole, by row and by file, with half a photo in the middle of a shard; ROI and masks stay."""
    batch = random_batch(40)
    folder = write_shards_of(tmp_path / "shards", {"train": [select(batch, range(34)), select(batch, range(34, 40))]})
    exact = Shards(folder)
    paired = exact.paired("by_photo", CATEGORIES)
    rows = extra_roi_rows(batch.sample_ids, batch.targets, CATEGORIES, CATEGORIES)
    expected = batch.extra_roi[rows]
    assert (rows != np.arange(40)).sum() == 20
    whole = paired.read("train")
    np.testing.assert_array_equal(whole.extra_roi, expected)
    for name in ("roi", "masks", "rects", "targets"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(batch, name))
    np.testing.assert_array_equal(paired.select("train", [35, 3]).extra_roi, expected[[35, 3]])
    np.testing.assert_array_equal(np.concatenate([part.extra_roi for part in paired.batches("train")]), expected)
    np.testing.assert_array_equal(exact.read("train").extra_roi, batch.extra_roi)
    np.testing.assert_array_equal(paired.paired("exact", CATEGORIES).read("train").extra_roi, batch.extra_roi)


@pytest.mark.parametrize("views", [frozenset({"roi", "extra_roi"}), frozenset({"extra_roi"})])
def test_training_sees_paired_extra_rois_and_its_own_rois(tmp_path: Path, views: frozenset) -> None:  # type: ignore[type-arg]
    """Also for a run that lacks a category, whose extra-ROI then goes to nobody."""
    batch = random_batch(12)
    folder = write_shards_of(tmp_path / "shards", {"train": [batch]})
    classes = select_classes(CATEGORIES, ("bread",))
    split = load_split(Shards(folder).paired("by_photo", classes.names), "train", classes, views=views)
    kept = np.flatnonzero(batch.targets != 0)
    rows = extra_roi_rows(batch.sample_ids, batch.targets, CATEGORIES, classes.names)[kept]
    assert split.extra_roi is not None
    np.testing.assert_array_equal(split.extra_roi.numpy(), batch.extra_roi[rows])
    if split.roi is not None:
        np.testing.assert_array_equal(split.roi.numpy(), batch.roi[kept])


def test_a_run_is_judged_on_the_pairs_that_it_was_trained_on(tmp_path: Path) -> None:
    """Its card says which; one without a word, as of earlier versions, was trained on exact pairs."""
    batch = random_batch(8)
    shards = write_small_shards(tmp_path / "shards", [batch])
    exact = write_small_run(tmp_path / "exact", ("roi", "extra_roi"))
    (given_exact,) = open_session(exact, shards, "cpu").batches(8)
    np.testing.assert_array_equal(given_exact.extra_roi, batch.extra_roi)
    card = (exact / "run.json").read_text()
    assert "pairing" not in card
    (exact / "run.json").write_text(card.replace('"normalize"', '"pairing": "by_photo", "normalize"'))
    trial = open_session(exact, shards, "cpu")
    rows = extra_roi_rows(batch.sample_ids, batch.targets, CATEGORIES, CATEGORIES)
    given = [part.extra_roi for part in trial.batches(3)]
    np.testing.assert_array_equal(np.concatenate(given), batch.extra_roi[rows])


def views_of(*, fill: int, geometry: Geometry) -> tuple[SampleBatch, np.ndarray]:
    """Return the views of one photo under four masks, of which two are all and one pixel, and the photo."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (45, 71, 3), dtype=np.uint8)
    masks = np.stack([generator.random((45, 71)) < 0.3, np.zeros((45, 71), bool), np.ones((45, 71), bool)])
    masks[1, 9:30, 12:55] = True
    masks = np.concatenate([masks, np.arange(45 * 71).reshape(1, 45, 71) == 99])
    photo, batch = Pillow.fromarray(pixels), SampleBatch.empty(tuple("abcd"), size=SIDE, fill=fill)
    batch.targets[:] = 0
    for row, views in enumerate(cut_views(photo, masks, size=SIDE, fill=fill, pad=PAD, geometry=geometry)):
        batch.rects[row], batch.masks[row], batch.roi[row], batch.extra_roi[row] = views
    return batch, letterbox(photo, size=SIDE, pad=PAD, rect=views.rect)


@pytest.mark.parametrize("fill", [0, 93, 255])
def test_both_views_make_the_whole_photo(fill: int) -> None:
    """Exactly, so that nothing in it tells where the mask is; regions are padding, surroundings and ROI."""
    batch, photo = views_of(fill=fill, geometry="exact")
    for row, whole in enumerate(batch.photo):
        np.testing.assert_array_equal(whole[..., :3], photo)
        rows, columns = np.nonzero(whole[..., 3])
        top, left, height, width = batch.rects[row]
        assert (rows.min(), columns.min(), len(rows)) == (top, left, height * width)
        np.testing.assert_array_equal(whole[..., 3] == 2, batch.masks[row])


def test_views_that_were_resized_one_by_one_make_the_photo_but_for_the_edge_of_the_mask() -> None:
    """A gray level of rounding; at edges the overshoot of bicubic is lost."""
    batch, photo = views_of(fill=93, geometry="released")
    whole = batch.photo[1, ..., :3].astype(int)
    assert np.median(np.abs(whole - photo)) <= 1
    assert np.abs(whole - photo).mean() < 2


def test_the_gray_level_of_hidden_pixels_goes_wherever_a_batch_goes(tmp_path: Path) -> None:
    """Shards say it, so that old ones do, and every part of a batch keeps it."""
    batch, _ = views_of(fill=93, geometry="exact")
    shards = write_shards_of(tmp_path / "shards", {"test": [batch]}, fill=93)
    read = Shards(shards).read("test")
    assert [each.fill for each in (batch.row(2), read, Shards(shards).select("test", [3, 0]))] == [93] * 3
    np.testing.assert_array_equal(read.photo, batch.photo)
    np.testing.assert_array_equal(batch.row(2).photo, batch.photo[2:3])
    session = open_session(write_small_run(tmp_path / "run", ("photo",)), shards, "cpu")
    np.testing.assert_array_equal(np.concatenate([part.photo for part in session.batches(3)]), batch.photo)
    classes = select_classes(CATEGORIES, ())
    split = load_split(Shards(shards), "test", classes, views=frozenset({"photo"}))
    assert split.roi is split.extra_roi is None
    assert split.photo is not None
    np.testing.assert_array_equal(split.photo.numpy(), batch.photo)
