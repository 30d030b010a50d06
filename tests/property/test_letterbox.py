"""Laws of the letterbox."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from pipeline.imaging.letterbox import cut_views, letterbox, letterbox_cutouts, letterbox_mask, letterbox_rect
from tests.strategies import image_and_mask

SIDES = st.integers(1, 5000)
SIZES = st.integers(16, 40)
GRAYS = st.integers(0, 255)
Pair = tuple[np.ndarray, np.ndarray]


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 2048))
def test_the_rectangle_is_the_floored_photo_in_the_middle(height: int, width: int, size: int) -> None:
    """The long side is `size`, the other is rounded down but at least 1, and the extra pixel lies left or above."""
    rect = letterbox_rect(height, width, size=size)
    assert max(rect.height, rect.width) == size
    assert rect.height == max(1, height * size // max(height, width))
    assert rect.width == max(1, width * size // max(height, width))
    assert rect.top - (size - rect.height - rect.top) in {0, 1}
    assert rect.left - (size - rect.width - rect.left) in {0, 1}


@settings(deadline=None)
@given(image_and_mask(), SIZES, GRAYS, GRAYS)
def test_both_views_add_up_to_the_letterboxed_photo(pair: Pair, size: int, fill: int, pad: int) -> None:
    """Inside the rectangle ROI + extra-ROI = photo + fill, to the last gray level."""
    photo, mask = Pillow.fromarray(pair[0]), pair[1]
    boxed = letterbox(photo, size=size, pad=pad)
    views = letterbox_cutouts(photo, boxed, mask, fill=fill, pad=pad)
    inside = letterbox_rect(*pair[1].shape, size=size).inside
    total = views.roi[inside].astype(int) + views.extra_roi[inside]
    np.testing.assert_array_equal(total, boxed[inside].astype(int) + fill)


@settings(deadline=None)
@given(image_and_mask(), SIZES, GRAYS, GRAYS)
def test_the_released_views_are_the_two_masked_pictures_resized_one_by_one(
    pair: Pair, size: int, fill: int, pad: int
) -> None:
    """Each is the letterbox of a photo in which the other's pixels are `fill`, bit for bit."""
    image, mask = pair
    rect = letterbox_rect(*mask.shape, size=size, geometry="released")
    (views,) = cut_views(Pillow.fromarray(image), [mask], size=size, fill=fill, pad=pad, geometry="released")
    for view, kept in ((views.roi, mask), (views.extra_roi, ~mask)):
        masked = np.where(kept[..., np.newaxis], image, np.uint8(fill))
        np.testing.assert_array_equal(view, letterbox(Pillow.fromarray(masked), size=size, pad=pad, rect=rect))


@settings(deadline=None)
@given(image_and_mask(), SIZES, GRAYS)
def test_everything_carries_the_same_padding(pair: Pair, size: int, pad: int) -> None:
    """Outside the rectangle photo and views are `pad`, and the mask is False."""
    photo, mask = Pillow.fromarray(pair[0]), pair[1]
    boxed = letterbox(photo, size=size, pad=pad)
    views = letterbox_cutouts(photo, boxed, mask, fill=0, pad=pad)
    outside = np.ones((size, size), np.bool_)
    outside[letterbox_rect(*pair[1].shape, size=size).inside] = False
    assert all((picture[outside] == pad).all() for picture in (boxed, *views))
    assert not letterbox_mask(mask, size=size)[outside].any()


@settings(deadline=None)
@given(image_and_mask(), SIZES, GRAYS)
def test_a_full_mask_gives_the_photo_and_nothing(pair: Pair, size: int, fill: int) -> None:
    """All of the photo in the mask: the ROI is the photo, the extra-ROI is `fill`."""
    photo = Pillow.fromarray(pair[0])
    boxed = letterbox(photo, size=size, pad=125)
    views = letterbox_cutouts(photo, boxed, np.ones_like(pair[1]), fill=fill, pad=125)
    np.testing.assert_array_equal(views.roi, boxed)
    assert (views.extra_roi[letterbox_rect(*pair[1].shape, size=size).inside] == fill).all()


@settings(deadline=None)
@given(image_and_mask(), SIZES)
def test_a_mask_never_vanishes(pair: Pair, size: int) -> None:
    """However small the mask, one pixel is left."""
    assert letterbox_mask(pair[1], size=size).any()


@settings(deadline=None)
@given(image_and_mask(longest=8), st.integers(2, 5))
def test_whole_blocks_keep_exactly_the_majority(pair: Pair, factor: int) -> None:
    """Where a pixel covers a whole block, it is inside if more than half of the block is."""
    mask = np.zeros((16 * factor, 16 * factor), np.bool_)
    height, width = pair[1].shape
    mask[:height, :width] = pair[1]
    share = mask.reshape(16, factor, 16, factor).mean(axis=(1, 3))
    expected = share > 0.5
    if expected.any():
        np.testing.assert_array_equal(letterbox_mask(mask, size=16), expected)
    else:
        kept = letterbox_mask(mask, size=16)
        assert kept.sum() == 1
        assert share[kept] == share.max()


@settings(deadline=None)
@given(image_and_mask(longest=100), st.integers(16, 100), GRAYS, GRAYS)
def test_the_roi_is_the_masked_photo_resized_and_clipped_to_what_the_photo_can_give(
    pair: Pair, size: int, fill: int, pad: int
) -> None:
    """Masked at full size by NumPy, resized by Pillow; the extra-ROI is what it leaves, and both are padded."""
    image, mask = pair
    photo, rect = Pillow.fromarray(image), letterbox_rect(*mask.shape, size=size)
    masked = np.where(mask[..., np.newaxis], image, np.uint8(fill))
    kept = np.asarray(Pillow.fromarray(masked).resize((rect.width, rect.height), Pillow.Resampling.BICUBIC))
    boxed = letterbox(photo, size=size, pad=pad)
    total = boxed[rect.inside].astype(int) + fill
    roi, extra_roi = np.full_like(boxed, pad), np.full_like(boxed, pad)
    roi[rect.inside] = np.clip(kept, total - 255, total)
    extra_roi[rect.inside] = total - roi[rect.inside]
    views = letterbox_cutouts(photo, boxed, mask, fill=fill, pad=pad)
    np.testing.assert_array_equal(views.roi, roi)
    np.testing.assert_array_equal(views.extra_roi, extra_roi)
