"""Laws of the cut-out."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from pipeline.imaging.letterbox import cut_out
from tests.strategies import image_and_mask


def pixels_of(image: np.ndarray, mask: np.ndarray, fill: int) -> np.ndarray:
    """Return a cut-out as an array."""
    return np.asarray(cut_out(Pillow.fromarray(image), mask, fill=fill))


@settings(deadline=None)
@given(image_and_mask(), st.integers(0, 255))
def test_the_two_views_rebuild_the_picture(pair: tuple[np.ndarray, np.ndarray], fill: int) -> None:
    """ROI inside the mask plus extra-ROI outside is the picture."""
    image, mask = pair
    roi, extra_roi = (pixels_of(image, kept, fill) for kept in (mask, ~mask))
    np.testing.assert_array_equal(np.where(mask[..., np.newaxis], roi, extra_roi), image)


@settings(deadline=None)
@given(image_and_mask(), st.integers(0, 255))
def test_what_a_view_hides_is_filled(pair: tuple[np.ndarray, np.ndarray], fill: int) -> None:
    """Outside the mask a cut-out holds only `fill`, inside it the picture."""
    image, mask = pair
    roi = pixels_of(image, mask, fill)
    assert (roi[~mask] == fill).all()
    np.testing.assert_array_equal(roi[mask], image[mask])
