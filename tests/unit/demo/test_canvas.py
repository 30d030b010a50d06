"""Outlines, random fields, light, and bodies on a canvas."""

import numpy as np
import pytest

from pipeline.demo.canvas import (
    Canvas,
    Light,
    Outline,
    Place,
    Sketch,
    SurfaceMaterial,
    arc,
    blob,
    disc,
    dome,
    fractal,
    noise,
    relief,
    ribbon,
    rod,
    scattered,
    turned,
)


def area(outline: Outline) -> float:
    """Return the area of a polygon by the shoelace formula."""
    x, y = outline.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def test_turning_keeps_areas_and_moves_the_centre() -> None:
    """Rotation and shift are rigid."""
    bar = rod(10.0, 4.0)
    moved = turned(bar, 0.7, (5.0, -3.0))
    assert area(moved) == pytest.approx(area(bar))
    np.testing.assert_allclose(moved.mean(axis=0), (5, -3), atol=1e-9)


def test_a_quarter_turn_takes_x_to_y() -> None:
    """Angles turn from the x axis, right, to the y axis, down."""
    np.testing.assert_allclose(turned(np.array([[1.0, 0.0]]), np.pi / 2), [[0, 1]], atol=1e-12)


def test_a_disc_has_its_radius() -> None:
    """All corners lie on the circle."""
    np.testing.assert_allclose(np.linalg.norm(disc(3.5), axis=1), 3.5)


def test_a_blob_without_wobble_is_an_ellipse_of_its_stretch() -> None:
    """Length over width is the stretch; the area is that of the disc."""
    ellipse = blob(np.random.default_rng(0), 10.0, wobble=0.0, stretch=2.0)
    length, width = np.ptp(ellipse, axis=0)
    assert length / width == pytest.approx(2, rel=0.02)
    assert area(ellipse) == pytest.approx(np.pi * 100, rel=0.02)


def test_blobs_differ_by_draw_and_stay_bounded() -> None:
    """No outline collapses or explodes, however strong the wobble."""
    rng = np.random.default_rng(0)
    radii = [np.linalg.norm(blob(rng, 10.0, wobble=2.0), axis=1) for _ in range(20)]
    assert min(r.min() for r in radii) >= 3.5 - 1e-9
    assert max(r.max() for r in radii) <= 15 + 1e-9
    assert not np.allclose(radii[0], radii[1])


def test_an_arc_has_its_length_and_a_straight_ribbon_its_area() -> None:
    """A band along a straight path is a rectangle."""
    path = arc(20.0, 0.0, points=21)
    assert np.ptp(path[:, 0]) == pytest.approx(20 * 20 / 21)
    assert area(ribbon(path, 3.0)) == pytest.approx(np.ptp(path[:, 0]) * 3)


def test_a_ribbon_may_taper() -> None:
    """Widths hold point by point."""
    path = arc(10.0, 0.0, points=5)
    outline = ribbon(path, np.array([4.0, 3, 2, 1, 0.5]))
    np.testing.assert_allclose(np.abs(outline[:5, 1] - outline[::-1][:5, 1]), [4, 3, 2, 1, 0.5])


def test_scattered_points_fill_the_disc_evenly() -> None:
    """About a quarter of the points lie within half the radius, which is a quarter of the area."""
    points = scattered(np.random.default_rng(0), 400, 50.0)
    assert points.shape == (400, 2)
    assert (np.linalg.norm(points, axis=1) < 25).mean() == pytest.approx(0.25, abs=0.05)


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


GRAY = 0.5
RED = (0.8, 0.1, 0.1)


def canvas_of(height: int = 120, width: int = 160, *, tilt: float = 1.0) -> Canvas:
    """Return an empty gray table lit from the right."""
    pixels = np.full((height, width, 3), GRAY, np.float32)
    return Canvas(pixels, np.zeros((height, width), np.uint8), Light.from_angles(0.0, 0.9), tilt)


def lay_disc(canvas: Canvas, place: Place, label: int = 7) -> None:
    """Put a red disc of the place's size on the table."""
    sketch = Sketch(canvas, place)
    sketch.piece(disc(place.radius, corners=90), RED)
    canvas.lay(sketch, SurfaceMaterial(), np.random.default_rng(0), label)


@pytest.mark.parametrize("tilt", [1.0, 0.7])
def test_a_disc_covers_its_ellipse_and_carries_its_label(tilt: float) -> None:
    """Seen at a tilt, a disc keeps its width and loses height; its area is pi r r tilt."""
    canvas = canvas_of(tilt=tilt)
    lay_disc(canvas, Place(80.0, 60.0, 30.0))
    body = canvas.labels == 7
    assert body.sum() == pytest.approx(np.pi * 900 * tilt, rel=0.05)
    assert np.ptp(np.nonzero(body)[1]) == pytest.approx(60, abs=2)
    red, green = canvas.pixels[..., 0], canvas.pixels[..., 1]
    assert (red[body] > green[body]).all()


def test_the_shadow_falls_away_from_the_lamp_and_has_no_label() -> None:
    """With the lamp on the right, the ground to the left of a body is darker; far away nothing changes."""
    canvas = canvas_of()
    lay_disc(canvas, Place(80.0, 60.0, 30.0))
    assert canvas.pixels[60, 47, 0] < canvas.pixels[60, 113, 0] <= GRAY
    assert canvas.labels[60, 47] == 0
    assert canvas.pixels[2, 2, 0] == GRAY


def test_the_topmost_body_owns_the_pixels() -> None:
    """A later body takes the overlap, the earlier keeps the rest."""
    canvas = canvas_of()
    lay_disc(canvas, Place(60.0, 60.0, 30.0), label=1)
    lay_disc(canvas, Place(90.0, 60.0, 30.0), label=2)
    assert canvas.labels[60, 75] == 2
    assert canvas.labels[60, 40] == 1


def test_a_hole_shows_what_lies_below() -> None:
    """Rings are open in the middle."""
    canvas = canvas_of()
    sketch = Sketch(canvas, Place(80.0, 60.0, 30.0))
    sketch.piece((disc(30.0), disc(15.0)), RED)
    canvas.lay(sketch, SurfaceMaterial(), np.random.default_rng(0), 3)
    assert canvas.labels[60, 80] == 0
    assert canvas.labels[60, 102] == 3


@pytest.mark.parametrize("place", [Place(0.0, 0.0, 30.0), Place(159.0, 119.0, 30.0), Place(80.0, -20.0, 30.0)])
def test_bodies_may_hang_over_the_edge_of_the_picture(place: Place) -> None:
    """What lies outside is cut off without an error."""
    canvas = canvas_of()
    lay_disc(canvas, place)
    assert 0 < (canvas.labels == 7).sum() < np.pi * 900


def test_a_body_wholly_outside_changes_nothing() -> None:
    """An empty sketch is laid without an error."""
    canvas = canvas_of()
    lay_disc(canvas, Place(500.0, 500.0, 30.0))
    assert not canvas.labels.any()


def test_a_mark_colours_without_a_new_piece() -> None:
    """Marks belong to the relief of the piece below."""
    sketch = Sketch(canvas_of(), Place(80.0, 60.0, 30.0))
    sketch.piece(disc(30.0), RED)
    before = sketch.ids.copy()
    sketch.mark(disc(10.0), (0.1, 0.1, 0.9))
    np.testing.assert_array_equal(sketch.ids, before)
    assert (sketch.albedo[..., 2] > 0.5).any()
