"""Compose one photo: table, clutter, plates, foods, and a dip dish on top.

Places are drawn before the foods, so that no place depends on the food.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.arrays import Image, LabelMap
from pipeline.demo.camera import SUPERSAMPLING, develop
from pipeline.demo.canvas import Canvas, Light, Place, Sketch, chance
from pipeline.demo.clutter import lay_cutlery, lay_napkin, scatter_crumbs, stand_glass
from pipeline.demo.dips import RED, VARIED, fill_dish
from pipeline.demo.foods import CATEGORY_IDS, SAUCE, SPLITS, Menu
from pipeline.demo.surfaces import table_top
from pipeline.demo.tableware import BOWL, DEEP_PLATE, PLATE, serve

ASPECTS = (1.0, 5 / 4, 4 / 3, 4 / 3, 3 / 2)
HELPINGS = {1: (0.0, 0.76), 2: (0.42, 0.64), 3: (0.47, 0.55), 4: (0.52, 0.47)}
"""Foods on a plate: their distance from its centre and their radius, as shares of its radius."""


@dataclass(frozen=True, slots=True)
class SceneLayout:
    """Places of one photo, in canvas pixels."""

    size: tuple[int, int]
    """Width and height of the photo."""
    tilt: float
    plate: Place
    bowl: Place | None
    dip: Place
    """Where a dip dish stands if one is served; wholly inside the photo."""
    napkin: Place
    glass: Place
    cutlery: tuple[Place, Place]


def lay_out(rng: np.random.Generator) -> SceneLayout:
    """Return the places of a random table."""
    size, tilt = _photo_size(rng), float(rng.uniform(0.74, 1.0))
    width, height = (side * SUPERSAMPLING for side in size)
    short = float(min(width, height / tilt))
    radius = short * rng.uniform(0.43, 0.5)
    roomy = max(width, height / tilt) > 1.22 * short
    plate = _plate(rng, (width, height), tilt, radius, roomy=roomy)
    bowl = _opposite(plate, (width, height), tilt, short) if roomy and chance(rng, 0.75) else None
    left, right = plate.x - 1.14 * radius, plate.x + 1.14 * radius
    return SceneLayout(
        size=size,
        tilt=tilt,
        plate=plate,
        bowl=bowl,
        dip=_dip(rng, plate, (width, height), tilt),
        napkin=Place(rng.choice((left, right)), rng.uniform(0.2, 0.8) * height, short * rng.uniform(0.3, 0.45)),
        glass=Place(
            rng.choice((0.05, 0.95)) * width, rng.choice((0.04, 0.3)) * height, short * rng.uniform(0.12, 0.17)
        ),
        cutlery=(Place(left, plate.y, 0.8 * radius), Place(right, plate.y, 0.8 * radius)),
    )


def _photo_size(rng: np.random.Generator) -> tuple[int, int]:
    short = int(rng.integers(220, 281))
    long = round(short * ASPECTS[int(rng.integers(len(ASPECTS)))])
    return (long, short) if chance(rng, 0.65) else (short, long)


def _plate(rng: np.random.Generator, size: tuple[int, int], tilt: float, radius: float, *, roomy: bool) -> Place:
    """Return the main plate: near the middle, or towards one end where there is room for a bowl."""
    width, height = size
    x, y = rng.uniform(0.46, 0.54) * width, rng.uniform(0.46, 0.54) * height
    end = rng.choice((-1, 1))
    if roomy and width > height / tilt:
        x = width / 2 + end * (width / 2 - 0.95 * radius)
    elif roomy:
        y = height / 2 + end * (height / 2 - 0.95 * radius * tilt)
    return Place(x, y, radius)


def _opposite(plate: Place, size: tuple[int, int], tilt: float, short: float) -> Place:
    """Return a bowl at the end of the table that the plate leaves free."""
    width, height = size
    radius = 0.33 * short
    if width > height / tilt:
        away = np.sign(width / 2 - plate.x)
        return Place(plate.x + away * (plate.radius + 0.9 * radius), height * 0.36, radius)
    away = np.sign(height / 2 - plate.y)
    return Place(width * 0.36, plate.y + away * (plate.radius + 0.9 * radius) * tilt, radius)


def _dip(rng: np.random.Generator, plate: Place, size: tuple[int, int], tilt: float) -> Place:
    """Return the place of a dip dish: at the rim of the plate, wholly in the picture."""
    width, height = size
    radius, angle = rng.uniform(0.34, 0.4) * plate.radius, rng.uniform(0, 2 * np.pi)
    distance = rng.uniform(0.6, 1.1) * plate.radius
    margin = radius + 3 * SUPERSAMPLING
    x = np.clip(plate.x + distance * np.cos(angle), margin, width - margin)
    y = np.clip(plate.y + distance * np.sin(angle) * tilt, margin * tilt, height - margin * tilt)
    return Place(float(x), float(y), radius)


def spots(layout: SceneLayout, count: int, *, dip: bool, rng: np.random.Generator) -> list[Place]:
    """Return a place for each of `count` foods, those at the back first; the last may be in the bowl."""
    plate, in_bowl = layout.plate, int(layout.bowl is not None and count > 1)
    number = count - in_bowl
    away = (
        np.arctan2((plate.y - layout.dip.y) / layout.tilt, plate.x - layout.dip.x) if dip else rng.uniform(0, 2 * np.pi)
    )
    span = 4.4 if dip else 2 * np.pi
    distance, share = HELPINGS[number]
    angles = away + (np.arange(number) - (number - 1) / 2) * span / number + rng.normal(0, 0.1, number)
    offset = (distance or (0.2 if dip else 0.0)) * plate.radius
    places = [
        Place(
            plate.x + offset * np.cos(a),
            plate.y + offset * np.sin(a) * layout.tilt,
            plate.radius * share * rng.uniform(0.9, 1.1),
        )
        for a in angles
    ]
    places.sort(key=lambda place: place.y)
    if layout.bowl is not None and in_bowl:
        places.append(Place(layout.bowl.x, layout.bowl.y, layout.bowl.radius * 0.88))
    return places


class DemoScene(NamedTuple):
    """A photo and what it shows."""

    photo: Image
    label_map: LabelMap


@dataclass(frozen=True, slots=True)
class Dice:
    """Independent random generators of the parts of a scene, so that the dip does not depend on the foods."""

    layout: np.random.Generator
    table: np.random.Generator
    foods: np.random.Generator
    dip: np.random.Generator
    camera: np.random.Generator

    @classmethod
    def of(cls, seed: int, split: str, position: int) -> "Dice":
        """Return the generators of photo `position` of a split."""
        streams = np.random.SeedSequence((seed, SPLITS.index(split), position), spawn_key=(1,)).spawn(5)
        return cls(*map(np.random.default_rng, streams))


def render(menu: Menu, dice: Dice) -> DemoScene:
    """Draw a photo of a menu; every pixel of the label map names the topmost food."""
    layout = lay_out(dice.layout)
    canvas = _table(layout, dice.table)
    serve(canvas, layout.plate, (PLATE, DEEP_PLATE)[int(dice.table.integers(2))], dice.table)
    if layout.bowl is not None:
        serve(canvas, layout.bowl, BOWL, dice.table)
    places = spots(layout, len(menu.foods), dip=menu.dip is not None, rng=dice.foods)
    for food, place in zip(menu.foods, places, strict=True):
        sketch = Sketch(canvas, place)
        food.paint(sketch, dice.foods)
        canvas.lay(sketch, food.material, dice.foods, CATEGORY_IDS[food.name])
    if menu.dip is not None:
        sauce = fill_dish(canvas, layout.dip, VARIED if menu.dip == SAUCE else RED, dice.dip)
        canvas.labels[sauce] = CATEGORY_IDS[menu.dip]
    return DemoScene(
        develop(canvas.pixels, layout.size, dice.camera), canvas.labels[::SUPERSAMPLING, ::SUPERSAMPLING].copy()
    )


def _table(layout: SceneLayout, rng: np.random.Generator) -> Canvas:
    """Return a laid table without plates."""
    shape = (layout.size[1] * SUPERSAMPLING, layout.size[0] * SUPERSAMPLING)
    light = Light.from_angles(rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1.2))
    pixels = table_top(rng, shape, layout.tilt, float(min(shape)))
    canvas = Canvas(pixels, np.zeros(shape, np.uint8), light, layout.tilt)
    scatter_crumbs(canvas, rng)
    if chance(rng, 0.45):
        lay_napkin(canvas, layout.napkin, rng)
    if chance(rng, 0.4):
        stand_glass(canvas, layout.glass, rng)
    for place in layout.cutlery:
        if chance(rng, 0.6):
            lay_cutlery(canvas, place, rng)
    return canvas
