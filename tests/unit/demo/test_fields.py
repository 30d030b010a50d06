"""Random fields and light."""

import numpy as np
import pytest

from pipeline.demo.canvas import Light, dome, fractal, noise, relief

OVERHEAD = Light(0.0, 0.0, 1.0)


@pytest.mark.parametrize("cell", [1.0, 7.5, 400.0, (3.0, 90.0)])
def test_noise_has_the_shape_asked_for_and_no_drift(cell: float | tuple[float, float]) -> None:
    """Cells larger than the field, smaller, or longer than wide all work; the mean is near 0 where many cells fit."""
    field = noise(np.random.default_rng(0), (40, 70), cell)
    assert field.shape == (40, 70)
    assert np.isfinite(field).all()
    if cell == 1.0:
        assert abs(field.mean()) < 0.1


def test_noise_is_smooth_over_a_cell() -> None:
    """Neighbouring pixels differ far less in coarse noise than in fine noise."""
    rough, smooth = (np.abs(np.diff(noise(np.random.default_rng(1), (99, 99), cell))).mean() for cell in (1.0, 30.0))
    assert smooth < rough / 5


def test_octaves_add_finer_detail() -> None:
    """The same seed with more octaves has steeper steps."""
    one, four = (np.abs(np.diff(fractal(np.random.default_rng(1), (99, 99), 30.0, n))).mean() for n in (1, 4))
    assert four > one


def test_a_dome_rises_from_its_outline_to_a_level_top() -> None:
    """Height is 0 at depth 0, grows, and stays at the edge's width beyond it."""
    heights = dome(np.array([[0, 1, 2, 4, 9]], np.float32), 4.0)[0]
    assert heights[0] == 0
    assert (np.diff(heights[:4]) > 0).all()
    assert heights[3] == heights[4] == pytest.approx(4)


def test_level_ground_has_brightness_one_under_any_lamp() -> None:
    """Light strength is relative to level ground, so a low lamp does not darken the table."""
    for lamp in (OVERHEAD, Light.from_angles(1.0, 0.8)):
        brightness, _ = relief(np.zeros((9, 9), np.float32), lamp)
        np.testing.assert_allclose(brightness, 1, atol=1e-5)


def test_slopes_towards_the_lamp_are_brighter() -> None:
    """A ramp that falls to the right faces a lamp on the right."""
    ramp = np.tile(np.arange(20, 0, -1, dtype=np.float32), (20, 1)) / 2
    right, _ = relief(ramp, Light.from_angles(0.0, 0.8))
    left, _ = relief(ramp, Light.from_angles(np.pi, 0.8))
    assert right[10, 10] > 1 > left[10, 10]


def test_a_lamp_is_a_unit_vector() -> None:
    """Any two angles give length 1."""
    lamp = Light.from_angles(2.3, 0.4)
    assert lamp.x**2 + lamp.y**2 + lamp.z**2 == pytest.approx(1)
