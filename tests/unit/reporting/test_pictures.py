"""Pictures in the page and in figures."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipeline.reporting.figures.photo_figures import overlay_heat
from pipeline.reporting.samples import (
    DIMMED,
    LONGEST,
    OUTLINE,
    SQUARE,
    SamplePictures,
    crop_square,
    enlarge,
    fit_mask,
    highlight,
    picture,
    sample_pictures,
    shrink,
)
from tests.raw_folder import noise
from tests.small_run import random_batch
from tests.unit.reporting.study import make_sample


def test_a_cut_out_is_stored_pixel_by_pixel() -> None:
    """What the page shows of a small cut-out is what the model gets."""
    cut_out = noise(64, 64, seed=1)
    stored = picture(cut_out, "ROI")
    assert (stored.width, stored.height, stored.description) == (64, 64, "ROI")
    kind, _, data = stored.uri.partition(";base64,")
    assert kind == "data:image/webp"
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(data)))), cut_out)


def test_a_photo_is_stored_small() -> None:
    """Large pictures lose detail rather than blow up the page."""
    assert len(picture(noise(128, 128, seed=1), "photo").uri) < 128 * 128 * 3


def test_shrinking_keeps_the_shape_and_never_enlarges() -> None:
    """The longer side gets the asked length."""
    assert shrink(noise(100, 50, seed=0), 20).shape == (20, 10, 3)
    assert shrink(noise(10, 5, seed=0), 20).shape == (10, 5, 3)
    assert shrink(noise(1000, 1, seed=0), 20).shape == (20, 1, 3)


def test_the_mask_lies_where_the_food_is() -> None:
    """The padding of the letterbox is cut away before the mask is stretched over the photo."""
    mask = np.zeros((16, 16), bool)
    mask[4:8, 0:8] = True
    fitted = fit_mask(mask, (4, 0, 8, 16), (40, 80))
    assert fitted.shape == (40, 80)
    assert fitted[5:15, 5:35].all()
    assert not fitted[25:].any()
    assert not fitted[:, 45:].any()


def test_the_food_keeps_its_colours_inside_an_outline() -> None:
    """Everything else is dimmed."""
    image, mask = noise(12, 12, seed=2), np.zeros((12, 12), bool)
    mask[3:9, 3:9] = True
    shown = highlight(image, mask)
    np.testing.assert_array_equal(shown[4:8, 4:8], image[4:8, 4:8])
    assert (shown[3, 3:9] == OUTLINE).all()
    np.testing.assert_array_equal(shown[0], (image[0] * DIMMED).astype(np.uint8))


def pictures(row: int = 2) -> SamplePictures:
    """Return one sample with a photo of its shape."""
    views = random_batch(6).row(row)
    height, width = views.rects[0, 2:].tolist()
    photo = np.random.default_rng(0).integers(0, 256, (20 * height, 20 * width, 3), np.uint8)
    return sample_pictures(make_sample(), photo, views)


@pytest.mark.parametrize(
    ("shape", "place", "corner"),
    [((4, 10), (1, 8), (0, 6)), ((4, 10), (1, 0), (0, 0)), ((10, 4), (5, 1), (3, 0)), ((6, 6), (0, 0), (0, 0))],
)
def test_a_crop_is_the_largest_square_and_holds_the_region(
    shape: tuple[int, int], place: tuple[int, int], corner: tuple[int, int]
) -> None:
    """As near to the region's middle as the photo allows."""
    image = np.arange(shape[0] * shape[1] * 3, dtype=np.uint8).reshape(*shape, 3)
    mask = np.zeros(shape, bool)
    mask[place] = True
    side, (top, left) = min(shape), corner
    np.testing.assert_array_equal(crop_square(image, mask), image[top : top + side, left : left + side])


def test_a_photo_without_region_is_cropped_all_the_same() -> None:
    """A mask can vanish when it shrinks."""
    assert crop_square(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), bool)).shape == (4, 4, 3)


def test_a_sample_is_small_and_marked() -> None:
    """Outlined in yellow inside, dimmed outside."""
    made = pictures()
    assert max(made.photo.shape) == LONGEST
    marked = made.marked()
    assert marked.shape[0] == marked.shape[1]
    assert (marked == [255, 214, 10]).all(axis=2).any()


def test_heat_is_black_where_there_is_none_and_bright_at_its_maximum() -> None:
    """Each map by its own maximum; a map without heat shows the view in gray."""
    made = pictures()
    heat = np.zeros((4, 4), np.float32)
    cold = overlay_heat(made, "extra_roi", heat)
    assert cold.shape == (SQUARE, SQUARE, 3)
    assert (cold[..., 0] == cold[..., 2]).all()
    heat[3, 3] = 1e-6
    warm = overlay_heat(made, "extra_roi", heat)
    assert warm[-1, -1].sum() > 600
    np.testing.assert_array_equal(warm[: SQUARE // 2, : SQUARE // 2], cold[: SQUARE // 2, : SQUARE // 2])
    np.testing.assert_array_equal(warm, overlay_heat(made, "extra_roi", heat * 1024))


def test_cut_outs_are_enlarged_to_one_size() -> None:
    """Whatever the study's image size."""
    assert enlarge(np.zeros((32, 32, 3), np.uint8)).shape == (SQUARE, SQUARE, 3)
