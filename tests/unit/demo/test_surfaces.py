"""Table tops, tableware, clutter and the camera."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.demo.canvas import Canvas, Colours, Light, Place
from pipeline.demo.clutter import lay_cutlery, lay_napkin, scatter_crumbs, stand_glass
from pipeline.demo.dips import CLEARANCE, RED, VARIED, Palette, fill_dish
from pipeline.demo.scene import develop
from pipeline.demo.surfaces import SURFACES, table_top
from pipeline.demo.tableware import BOWL, DEEP_PLATE, DIP_DISH, PLATE, SAUCER, Profile, serve

VESSELS = (PLATE, DEEP_PLATE, BOWL, DIP_DISH, SAUCER)


def table(label: int = 0) -> Canvas:
    """Return a gray table whose every pixel has a label."""
    return Canvas(
        np.full((300, 400, 3), 0.5, np.float32), np.full((300, 400), label, np.uint8), Light.from_angles(1.0, 0.9), 0.8
    )


@pytest.mark.parametrize("surface", SURFACES)
def test_a_surface_has_texture_and_fits_any_shape(surface: Callable[..., Colours]) -> None:
    """Portrait and landscape, and no flat colour."""
    for shape in ((60, 90), (90, 60)):
        pixels = surface(np.random.default_rng(2), shape, 60.0)
        assert pixels.shape == (*shape, 3)
        assert pixels.std() > 0.004


def test_a_table_top_is_a_picture() -> None:
    """Values stay within 0 and 1 at the size asked for."""
    for seed in range(12):
        pixels = table_top(np.random.default_rng(seed), (121, 167), 0.77, 121.0)
        assert pixels.shape == (121, 167, 3)
        assert 0 <= pixels.min() <= pixels.max() <= 1


@pytest.mark.parametrize("profile", VESSELS)
def test_a_vessel_takes_its_ellipse_for_background(profile: Profile) -> None:
    """What stood there before loses its label under the vessel, and nowhere else."""
    canvas = table(label=9)
    serve(canvas, Place(200.0, 150.0, 80.0), profile, np.random.default_rng(0))
    assert (canvas.labels == 0).sum() == pytest.approx(np.pi * 80 * 80 * 0.8, rel=0.03)
    assert canvas.labels[150, 200] == 0
    assert 0 <= canvas.pixels.min() <= canvas.pixels.max() <= 1.001


def test_a_vessel_may_hang_over_the_edge() -> None:
    """Corners, odd sizes and places outside are drawn without an error."""
    for x, y in ((0.0, 0.0), (399.0, 299.0), (-30.0, 150.0), (201.0, 330.0)):
        serve(table(), Place(x, y, 61.0), PLATE, np.random.default_rng(0))


@pytest.mark.parametrize("palette", [RED, VARIED])
def test_a_sauce_lies_in_its_dish_with_clearance(palette: Palette) -> None:
    """Sauce pixels are surrounded by `CLEARANCE` photo pixels of dish, hence twice as many on the canvas."""
    for seed in range(8):
        canvas = table(label=9)
        mask = fill_dish(canvas, Place(200.0, 150.0, 80.0), palette, np.random.default_rng(seed))
        y, x = np.nonzero(mask)
        reach = np.hypot((x - 200) / 80, (y - 150) / (80 * 0.8)).max()
        assert mask.sum() > 500
        assert (1 - reach) * 80 * 0.8 >= 2 * CLEARANCE - 2
        assert (canvas.labels[mask] == 0).all()


def test_a_sauce_does_not_show_what_lies_under_its_dish() -> None:
    """The same draw over other pixels gives the same sauce to the bit."""
    over_gray, over_noise = table(), table()
    over_noise.pixels[:] = np.random.default_rng(1).random(over_noise.pixels.shape, np.float32)
    one, two = (fill_dish(c, Place(200.0, 150.0, 80.0), RED, np.random.default_rng(4)) for c in (over_gray, over_noise))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(over_gray.pixels[one], over_noise.pixels[one])


@pytest.mark.parametrize("add", [lay_cutlery, lay_napkin, stand_glass])
def test_clutter_changes_the_picture_but_not_the_labels(add: object) -> None:
    """Cutlery, napkins and glasses are background."""
    assert callable(add)
    for seed in range(6):
        canvas = table()
        add(canvas, Place(200.0, 150.0, 60.0), np.random.default_rng(seed))
        assert not canvas.labels.any()
        assert (canvas.pixels != 0.5).any()


def test_crumbs_are_background() -> None:
    """Crumbs may fall anywhere, labels stay."""
    canvas = table(label=4)
    scatter_crumbs(canvas, np.random.default_rng(0))
    assert (canvas.labels == 4).all()


def test_developing_gives_a_photo_of_the_size_asked_for() -> None:
    """Twice the pixels go in, and light varies by draw."""
    pixels = np.full((300, 400, 3), 0.5, np.float32)
    photos = [develop(pixels, (200, 150), np.random.default_rng(seed)) for seed in (0, 1)]
    assert photos[0].shape == (150, 200, 3)
    assert photos[0].dtype == np.uint8
    assert (photos[0].mean(axis=(0, 1)) != photos[1].mean(axis=(0, 1))).all()
