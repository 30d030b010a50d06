"""Sketching bodies and laying them on a canvas."""

import numpy as np
import pytest

from pipeline.demo.canvas import Canvas, Light, Place, Sketch, SurfaceMaterial, disc

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
