"""Outlines of bodies."""

import numpy as np
import pytest

from pipeline.demo.canvas import Outline, arc, blob, disc, ribbon, rod, scattered, turned


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
