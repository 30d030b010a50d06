"""Where things stand."""

import numpy as np
import pytest

from pipeline.demo.camera import SUPERSAMPLING
from pipeline.demo.dips import CLEARANCE
from pipeline.demo.scene import lay_out, spots

TABLES = [lay_out(np.random.default_rng(seed)) for seed in range(200)]


def test_a_dip_dish_is_wholly_in_the_picture() -> None:
    """So a sauce is never cut off, and its place tells nothing but itself."""
    for table in TABLES:
        width, height = (side * SUPERSAMPLING for side in table.size)
        assert table.dip.radius <= table.dip.x <= width - table.dip.radius
        assert table.dip.radius * table.tilt <= table.dip.y <= height - table.dip.radius * table.tilt


def test_the_smallest_dish_leaves_room_for_sauce_within_its_clearance() -> None:
    """At least a third of the radius is sauce."""
    for table in TABLES:
        assert table.dip.radius - SUPERSAMPLING * CLEARANCE / table.tilt > table.dip.radius / 3


def test_photos_vary_in_size_and_lie_or_stand() -> None:
    """200 to 420 pixels, landscape more often than portrait."""
    sizes = np.array([table.size for table in TABLES])
    assert sizes.min() >= 200
    assert sizes.max() <= 420
    assert len({tuple(size) for size in sizes}) > 100
    landscape, portrait = (sizes[:, 0] > sizes[:, 1]).mean(), (sizes[:, 0] < sizes[:, 1]).mean()
    assert landscape > portrait > 0.1


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("dip", [False, True])
def test_every_food_has_a_place_whose_centre_is_in_the_picture(*, count: int, dip: bool) -> None:
    """Nothing that is on the menu may be out of sight."""
    for seed, table in enumerate(TABLES):
        places = spots(table, count, dip=dip, rng=np.random.default_rng(seed))
        assert len(places) == count
        for place in places:
            assert -0.25 * place.radius < place.x < table.size[0] * SUPERSAMPLING + 0.25 * place.radius
            assert -0.25 * place.radius < place.y < table.size[1] * SUPERSAMPLING + 0.25 * place.radius


def test_foods_keep_away_from_the_dip() -> None:
    """No food's centre is under the dish."""
    for seed, table in enumerate(TABLES):
        for place in spots(table, 3, dip=True, rng=np.random.default_rng(seed)):
            apart = np.hypot(place.x - table.dip.x, (place.y - table.dip.y) / table.tilt)
            assert apart > 0.6 * table.dip.radius
