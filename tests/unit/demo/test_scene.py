"""Places of a scene, and whole photos."""

import cv2
import numpy as np
import pytest

from pipeline.arrays import Image
from pipeline.demo.dataset import JPEG
from pipeline.demo.dips import CLEARANCE
from pipeline.demo.foods import CATEGORY_IDS, CHILI_PASTE, FOODS, KETCHUP, Menu, menu
from pipeline.demo.scene import SUPERSAMPLING, Dice, lay_out, render, spots

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


OTHER = {KETCHUP: CHILI_PASTE, CHILI_PASTE: KETCHUP}


def stored(photo: Image) -> Image:
    """Return a photo as it is read back from its JPEG file."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", photo, JPEG)[1], cv2.IMREAD_COLOR), np.uint8)


def swapped(served: Menu) -> Menu:
    """Serve the other red sauce with other foods."""
    assert served.dip is not None
    position = FOODS.index(served.foods[0])
    foods = tuple(FOODS[(position + 1 + 4 * step) % len(FOODS)] for step in range(len(served.foods)))
    return served._replace(dip=OTHER[served.dip], foods=foods)


RED_POSITIONS = [position for position in range(24) if menu(0, "train", position).dip in OTHER]


@pytest.mark.parametrize("position", RED_POSITIONS)
def test_a_red_sauce_is_the_same_to_the_bit_whichever_it_is(position: int) -> None:
    """Ketchup and chili paste share one distribution: other name, other foods, same mask and same stored pixels."""
    served = menu(0, "train", position)
    other = swapped(served)
    one, two = (render(each, Dice.of(0, "train", position)) for each in (served, other))
    assert served.dip is not None
    assert other.dip is not None
    mask = one.label_map == CATEGORY_IDS[served.dip]
    np.testing.assert_array_equal(mask, two.label_map == CATEGORY_IDS[other.dip])
    np.testing.assert_array_equal(stored(one.photo)[mask], stored(two.photo)[mask])
    assert (one.photo[~mask] != two.photo[~mask]).any()


def test_the_label_map_shows_the_menu_and_nothing_else() -> None:
    """Every food of the menu is in sight, with at least a hundredth of the photo; sizes agree."""
    for position in range(16):
        served = menu(2, "test", position)
        scene = render(served, Dice.of(2, "test", position))
        expected = {CATEGORY_IDS[name] for name in [food.name for food in served.foods] + [served.dip] if name}
        shares = np.bincount(scene.label_map.ravel(), minlength=19) / scene.label_map.size
        assert set(np.unique(scene.label_map)) == {0} | expected
        assert min(shares[list(expected)]) > 0.005
        assert scene.photo.shape[:2] == scene.label_map.shape


def test_foods_differ_from_the_table_they_cover() -> None:
    """The photo is not flat: foods and background have different mean colours."""
    scene = render(menu(0, "train", 0), Dice.of(0, "train", 0))
    food = scene.label_map > 0
    assert np.abs(scene.photo[food].mean(axis=0) - scene.photo[~food].mean(axis=0)).max() > 10


def test_a_scene_depends_on_seed_split_and_position_alone() -> None:
    """The same three give the same photo; each of them changes it."""
    served = menu(0, "train", 0)
    first, again = (render(served, Dice.of(0, "train", 0)).photo for _ in range(2))
    np.testing.assert_array_equal(first, again)
    for where in ((1, "train", 0), (0, "test", 0), (0, "train", 1)):
        other = render(served, Dice.of(*where)).photo
        assert other.shape != first.shape or (other != first).any()
