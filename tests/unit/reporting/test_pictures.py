"""Pictures inside the page."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from pipeline.reporting.pictures import DIMMED, OUTLINE, fit_mask, highlight, picture, shrink
from tests.raw_folder import noise


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
