"""Known cases of the letterbox."""

import math

import numpy as np
import pytest
from PIL import Image as Pillow

from pipeline.imaging.letterbox import letterbox, letterbox_cutouts, letterbox_mask, letterbox_rect


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (384, 512, (28, 0, 168, 224)),
        (512, 384, (0, 28, 224, 168)),
        (512, 512, (0, 0, 224, 224)),
        (383, 512, (29, 0, 167, 224)),  # 57 rows are left: 29 above, 28 below
        (1, 5000, (112, 0, 1, 224)),  # a line keeps one pixel
        (1, 1, (0, 0, 224, 224)),
    ],
)
def test_photos_lie_where_the_released_code_puts_them(
    height: int, width: int, expected: tuple[int, int, int, int]
) -> None:
    """Floor, centre, extra pixel above or to the left."""
    assert letterbox_rect(height, width, size=224) == expected


def test_the_long_side_is_never_one_pixel_short() -> None:
    """Sides at which side x (224 / side) rounds down to 223 in floating point still give 224."""
    trapped = [side for side in range(150, 2000) if int(side * (224 / side)) < 224]
    assert trapped
    assert all(letterbox_rect(100, side, size=224).width == 224 for side in trapped)


def test_the_released_geometry_rounds_down_in_floating_point() -> None:
    """Both sides are floor(side x ratio) with ratio = 224 / long side: 223 for every thirtieth or so."""
    short = 0
    for side in range(150, 2000):
        rect = letterbox_rect(150, side, size=224, geometry="released")
        assert (rect.height, rect.width) == (math.floor(150 * (224 / side)), math.floor(side * (224 / side)))
        assert rect.width in {223, 224}
        assert rect.left == 224 - rect.width, "the pixel that is left lies on the left"
        short += rect.width == 223
    assert short == sum(int(side * (224 / side)) < 224 for side in range(150, 2000)) > 0


def test_everything_goes_where_the_rectangle_says() -> None:
    """Photo, mask and views of a photo that the released geometry leaves one pixel short."""
    side = next(side for side in range(150, 2000) if int(side * (224 / side)) == 223)
    rect = letterbox_rect(side, side, size=224, geometry="released")
    image, mask = np.full((side, side, 3), 200, np.uint8), np.ones((side, side), np.bool_)
    boxed = letterbox(Pillow.fromarray(image), size=224, pad=125, rect=rect)
    views = letterbox_cutouts(Pillow.fromarray(image), boxed, mask, fill=0, pad=125, rect=rect)
    for square in (boxed, views.roi):
        assert (square[0] == 125).all()
        assert (square[:, 0] == 125).all()
        assert (square[1:, 1:] == 200).all()
    assert letterbox_mask(mask, size=224, rect=rect).sum() == 223**2
    assert (views.extra_roi[rect.inside] == 0).all()


def test_the_photo_is_resized_by_pillow_bicubic() -> None:
    """Inside the rectangle the pixels are those of Pillow's bicubic, which averages when it shrinks."""
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    boxed = letterbox(Pillow.fromarray(image), size=64, pad=125)
    expected = Pillow.fromarray(image).resize((64, 48), Pillow.Resampling.BICUBIC)
    np.testing.assert_array_equal(boxed[8:56], np.asarray(expected))
    assert (boxed[:8] == 125).all()


def test_the_mask_is_applied_before_the_resize() -> None:
    """Edges are soft: a pixel half inside the mask is half bright in both views."""
    image, mask = np.full((64, 64, 3), 200, np.uint8), np.zeros((64, 64), np.bool_)
    mask[:, :34] = True  # ends in the middle of a pixel of 4 x 4
    views = letterbox_cutouts(
        Pillow.fromarray(image), letterbox(Pillow.fromarray(image), size=16, pad=0), mask, fill=0, pad=0
    )
    assert views.roi[8, 8].tolist() == views.extra_roi[8, 8].tolist() == [100, 100, 100]
    assert views.roi[8, 4].tolist() == views.extra_roi[8, 13].tolist() == [200, 200, 200]


def test_views_stay_close_to_those_of_the_released_code() -> None:
    """Away from the edge the ROI is the resized cut-out, bit for bit; only ringing at the edge is clipped."""
    rng = np.random.default_rng(1)
    image, mask = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8), np.zeros((128, 128), np.bool_)
    mask[32:96, 32:96] = True
    views = letterbox_cutouts(
        Pillow.fromarray(image), letterbox(Pillow.fromarray(image), size=32, pad=0), mask, fill=0, pad=0
    )
    released = Pillow.fromarray(image * mask[..., np.newaxis]).resize((32, 32), Pillow.Resampling.BICUBIC)
    np.testing.assert_array_equal(views.roi[11:21, 11:21], np.asarray(released)[11:21, 11:21])
    assert (views.roi <= letterbox(Pillow.fromarray(image), size=32, pad=0)).all()


def test_an_exact_half_is_outside() -> None:
    """More than half of a pixel must be inside the mask, so that mask and complement never overlap."""
    mask = np.zeros((32, 32), np.bool_)
    mask[:, :15] = True
    assert letterbox_mask(mask, size=16)[0].tolist() == [True] * 7 + [False] * 9


def test_an_empty_mask_stays_empty() -> None:
    """Nothing is invented where nothing was."""
    assert not letterbox_mask(np.zeros((9, 30), np.bool_), size=16).any()
