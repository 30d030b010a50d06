"""A picture that holds something in one part only is resized at the cost of that part, to the very same bytes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from pipeline.imaging.cropped_mask import CroppedMask
from pipeline.imaging.letterbox import letterbox, letterbox_cutouts, letterbox_mask, letterbox_rect

GRAYS = st.integers(0, 255)


@st.composite
def photo_and_part(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Return a random photo and a mask with pixels in one rectangle of it, sparse or dense."""
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    bottom, right = draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = np.zeros((height, width), np.bool_)
    mask[top:bottom, left:right] = generator.random((bottom - top, right - left)) < draw(st.floats(0.01, 1))
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8), mask


@settings(deadline=None)
@given(photo_and_part(), st.integers(16, 300), GRAYS, GRAYS)
def test_the_roi_is_what_resizing_the_whole_masked_photo_gives(
    pair: tuple[np.ndarray, np.ndarray], size: int, fill: int, pad: int
) -> None:
    """Masked at full size by NumPy, resized as a whole by Pillow, clipped to what the photo can give."""
    photo, mask = pair
    rect = letterbox_rect(*mask.shape, size=size)
    masked = np.where(mask[..., np.newaxis], photo, np.uint8(fill))
    kept = np.asarray(Pillow.fromarray(masked).resize((rect.width, rect.height), Pillow.Resampling.BICUBIC))
    boxed = letterbox(Pillow.fromarray(photo), size=size, pad=pad)
    total = boxed[rect.inside].astype(int) + fill
    views = letterbox_cutouts(Pillow.fromarray(photo), boxed, CroppedMask.of(mask), fill=fill, pad=pad)
    np.testing.assert_array_equal(views.roi[rect.inside], np.clip(kept, total - 255, total))


@settings(deadline=None)
@given(photo_and_part(), st.integers(16, 300))
def test_the_mask_is_what_resizing_all_of_it_gives(pair: tuple[np.ndarray, np.ndarray], size: int) -> None:
    """More than half of a pixel's area, or the pixel of the greatest share."""
    mask = pair[1]
    rect = letterbox_rect(*mask.shape, size=size)
    shares = np.asarray(
        Pillow.fromarray(mask.astype(np.float32)).resize((rect.width, rect.height), Pillow.Resampling.BOX)
    )
    kept = shares > 0.5 + 1e-5
    if mask.any() and not kept.any():
        kept.flat[shares.argmax()] = True
    np.testing.assert_array_equal(letterbox_mask(CroppedMask.of(mask), size=size)[rect.inside], kept)


@given(photo_and_part())
def test_a_cropped_mask_is_the_mask_in_the_smallest_rectangle(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Every pixel lies inside, each of the four sides has one, and the whole mask comes back."""
    mask = pair[1]
    cropped = CroppedMask.of(mask)
    np.testing.assert_array_equal(cropped.full(), mask)
    crop = cropped.crop
    assert bool(crop.size) == bool(mask.any())
    assert not crop.size or all(side.any() for side in (crop[0], crop[-1], crop[:, 0], crop[:, -1]))
