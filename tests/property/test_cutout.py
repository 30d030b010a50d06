"""Laws of the cut-out."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.imaging.cutout import cut_out
from tests.strategies import image_and_mask


@settings(deadline=None)
@given(image_and_mask(), st.integers(0, 255))
def test_the_two_views_rebuild_the_picture(pair: tuple[np.ndarray, np.ndarray], fill: int) -> None:
    """ROI inside the mask plus extra-ROI outside is the picture."""
    image, mask = pair
    roi, extra_roi = cut_out(image, mask, fill=fill)
    np.testing.assert_array_equal(np.where(mask[..., np.newaxis], roi, extra_roi), image)


@settings(deadline=None)
@given(image_and_mask(), st.integers(0, 255))
def test_what_a_view_hides_is_filled(pair: tuple[np.ndarray, np.ndarray], fill: int) -> None:
    """Outside the mask the ROI holds only `fill`, inside it the extra-ROI does."""
    image, mask = pair
    roi, extra_roi = cut_out(image, mask, fill=fill)
    assert (roi[~mask] == fill).all()
    assert (extra_roi[mask] == fill).all()


@settings(deadline=None)
@given(image_and_mask(), st.integers(0, 255))
def test_the_inverted_mask_swaps_the_views(pair: tuple[np.ndarray, np.ndarray], fill: int) -> None:
    """The extra-ROI of a mask is the ROI of its complement."""
    image, mask = pair
    views, swapped = cut_out(image, mask, fill=fill), cut_out(image, ~mask, fill=fill)
    np.testing.assert_array_equal(views.roi, swapped.extra_roi)
    np.testing.assert_array_equal(views.extra_roi, swapped.roi)
