"""A window of a line that Pillow resizes by bicubic is, to the byte, what resizing the whole line gives there."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from pipeline.imaging.resize_window import bicubic_weights, bicubic_window

BICUBIC = Pillow.Resampling.BICUBIC
LENGTHS = st.integers(1, 4000)
SIDES = st.sampled_from([224, 96, 384]) | st.integers(1, 400)


@settings(deadline=None)
@given(st.data(), LENGTHS, SIDES, st.booleans())
def test_a_window_is_part_of_the_whole_line(data: st.DataObject, length: int, to: int, hard: bool) -> None:
    """Noise and hard edges, which show the last bit of a weight soonest."""
    start = data.draw(st.integers(0, to - 1))
    stop = data.draw(st.integers(start + 1, to))
    line = np.random.default_rng(data.draw(st.integers(0, 2**32))).integers(0, 256, (1, length, 3), dtype=np.uint8)
    picture = Pillow.fromarray(np.where(line > 127, np.uint8(255), np.uint8(0)) if hard else line)
    window = bicubic_window(slice(start, stop), length=length, to=to)
    assert window.pixels.start <= start < stop <= window.pixels.stop <= to
    part = picture.resize((window.size, 1), BICUBIC, (window.box[0], 0, window.box[1], 1))
    whole = np.asarray(picture.resize((to, 1), BICUBIC))
    np.testing.assert_array_equal(np.asarray(part), whole[:, window.pixels])


@settings(deadline=None)
@given(LENGTHS, SIDES)
def test_weights_are_pillows(length: int, to: int) -> None:
    """A line that is black but for one pixel shows what that pixel weighs, up to the rounding of 8 bit pixels."""
    weights = bicubic_weights(length, to)
    assert np.allclose(weights.sum(axis=1), 1)
    scale = max(length / to, 1.0)
    middle = len(weights) - 1
    first = int(np.floor((middle + 0.5) * length / to - 2 * scale + 0.5))
    for tap, weight in enumerate(weights[middle]):
        if 0 <= first + tap < length:
            line = np.zeros((1, length), np.uint8)
            line[0, first + tap] = 255
            shown = int(np.asarray(Pillow.fromarray(line).resize((to, 1), BICUBIC))[0, middle])
            assert abs(shown - np.clip(255 * weight, 0, 255)) <= 0.51


def test_common_photos_have_small_windows() -> None:
    """At 224 pixels every seventh pixel of a side lies on a 32nd of a pixel."""
    for length in (500, 512, 640, 1024):
        assert bicubic_window(slice(100, 101), length=length, to=224).pixels == slice(98, 105)


def test_a_line_whose_weights_rounding_could_change_is_resized_whole() -> None:
    """One weight of 652 pixels resized to 224 lies within rounding errors of half a step."""
    assert bicubic_window(slice(100, 101), length=652, to=224).pixels == slice(0, 224)
