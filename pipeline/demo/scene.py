"""Compose one photo: table, clutter, plates, foods, a dip dish on top, and what the camera makes of them.

Places are drawn before the foods, so that no place depends on the food.
"""

from typing import NamedTuple

import cv2
import numpy as np

from pipeline.arrays import AnyImage, Image, LabelMap
from pipeline.datasets.layout import OFFICIAL_SPLITS
from pipeline.demo.canvas import Canvas, Colours, Light, Place, Sketch, chance
from pipeline.demo.clutter import lay_cutlery, lay_napkin, scatter_crumbs, stand_glass
from pipeline.demo.dips import RED, VARIED, fill_dish
from pipeline.demo.foods import CATEGORY_IDS, SAUCE, Menu
from pipeline.demo.surfaces import coordinates, table_top
from pipeline.demo.tableware import BOWL, DEEP_PLATE, PLATE, serve

SUPERSAMPLING = 2  # canvas pixels a photo pixel, each way
ASPECTS = (1.0, 5 / 4, 4 / 3, 4 / 3, 3 / 2)
HELPINGS = {1: (0.0, 0.76), 2: (0.42, 0.64), 3: (0.47, 0.55), 4: (0.52, 0.47)}
"""Foods on a plate: their distance from its centre and their radius, as shares of its radius."""


class SceneLayout(NamedTuple):
    """Places of one photo, in canvas pixels."""

    size: tuple[int, int]  # width and height of the photo
    tilt: float
    plate: Place
    bowl: Place | None
    dip: Place  # where a dip dish stands if one is served; wholly inside the photo
    napkin: Place
    glass: Place
    cutlery: tuple[Place, Place]


def lay_out(rng: np.random.Generator) -> SceneLayout:
    """Return the places of a random table."""
    side = int(rng.integers(220, 281))
    sides = round(side * ASPECTS[int(rng.integers(len(ASPECTS)))]), side
    size = sides if chance(rng, 0.65) else (sides[1], sides[0])
    tilt = float(rng.uniform(0.74, 1.0))
    width, height = (pixels * SUPERSAMPLING for pixels in size)
    short = float(min(width, height / tilt))
    radius = short * rng.uniform(0.43, 0.5)
    roomy, wide = max(width, height / tilt) > 1.22 * short, width > height / tilt
    # The plate is near the middle, or towards one end where there is room for a bowl at the other end.
    x, y = rng.uniform(0.46, 0.54) * width, rng.uniform(0.46, 0.54) * height
    end = rng.choice((-1, 1))
    if roomy and wide:
        x = width / 2 + end * (width / 2 - 0.95 * radius)
    elif roomy:
        y = height / 2 + end * (height / 2 - 0.95 * radius * tilt)
    bowl = None
    if roomy and chance(rng, 0.75):
        small = 0.33 * short
        if wide:
            bowl = Place(x + np.sign(width / 2 - x) * (radius + 0.9 * small), height * 0.36, small)
        else:
            bowl = Place(width * 0.36, y + np.sign(height / 2 - y) * (radius + 0.9 * small) * tilt, small)
    left, right, plate = x - 1.14 * radius, x + 1.14 * radius, Place(x, y, radius)
    # A dip dish stands at the rim of the plate, wholly in the picture.
    dish, angle = rng.uniform(0.34, 0.4) * radius, rng.uniform(0, 2 * np.pi)
    distance, margin = rng.uniform(0.6, 1.1) * radius, dish + 3 * SUPERSAMPLING
    dip_x = np.clip(x + distance * np.cos(angle), margin, width - margin)
    dip_y = np.clip(y + distance * np.sin(angle) * tilt, margin * tilt, height - margin * tilt)
    dip = Place(float(dip_x), float(dip_y), dish)
    napkin = Place(rng.choice((left, right)), rng.uniform(0.2, 0.8) * height, short * rng.uniform(0.3, 0.45))
    glass_x, glass_y = rng.choice((0.05, 0.95)) * width, rng.choice((0.04, 0.3)) * height
    glass = Place(glass_x, glass_y, short * rng.uniform(0.12, 0.17))
    cutlery = Place(left, y, 0.8 * radius), Place(right, y, 0.8 * radius)
    return SceneLayout(size, tilt, plate, bowl, dip, napkin, glass, cutlery)


def spots(layout: SceneLayout, count: int, *, dip: bool, rng: np.random.Generator) -> list[Place]:
    """Return a place for each of `count` foods, those at the back first; the last may be in the bowl."""
    (x, y, radius), tilt = layout.plate, layout.tilt
    bowl = layout.bowl if count > 1 else None
    number = count if bowl is None else count - 1
    away = np.arctan2((y - layout.dip.y) / tilt, x - layout.dip.x) if dip else rng.uniform(0, 2 * np.pi)
    span = 4.4 if dip else 2 * np.pi
    distance, share = HELPINGS[number]
    angles = away + (np.arange(number) - (number - 1) / 2) * span / number + rng.normal(0, 0.1, number)
    offset = (distance or (0.2 if dip else 0.0)) * radius
    places = [
        Place(x + offset * np.cos(a), y + offset * np.sin(a) * tilt, radius * share * rng.uniform(0.9, 1.1))
        for a in angles
    ]
    places.sort(key=lambda place: place.y)
    return places if bowl is None else [*places, bowl._replace(radius=bowl.radius * 0.88)]


class DemoScene(NamedTuple):
    """A photo and what it shows."""

    photo: Image
    label_map: LabelMap


class Dice(NamedTuple):
    """Independent random generators of the parts of a scene, so that the dip does not depend on the foods."""

    layout: np.random.Generator
    table: np.random.Generator
    foods: np.random.Generator
    dip: np.random.Generator
    camera: np.random.Generator

    @classmethod
    def of(cls, seed: int, split: str, position: int) -> "Dice":
        """Return the generators of photo `position` of a split."""
        streams = np.random.SeedSequence((seed, OFFICIAL_SPLITS.index(split), position), spawn_key=(1,)).spawn(5)
        return cls(*map(np.random.default_rng, streams))


def render(menu: Menu, dice: Dice) -> DemoScene:
    """Draw a photo of a menu; every pixel of the label map names the topmost food."""
    layout, rng = lay_out(dice.layout), dice.table
    shape = (layout.size[1] * SUPERSAMPLING, layout.size[0] * SUPERSAMPLING)
    light = Light.from_angles(rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1.2))
    canvas = Canvas(
        table_top(rng, shape, layout.tilt, float(min(shape))), np.zeros(shape, np.uint8), light, layout.tilt
    )
    scatter_crumbs(canvas, rng)
    if chance(rng, 0.45):
        lay_napkin(canvas, layout.napkin, rng)
    if chance(rng, 0.4):
        stand_glass(canvas, layout.glass, rng)
    for place in layout.cutlery:
        if chance(rng, 0.6):
            lay_cutlery(canvas, place, rng)
    serve(canvas, layout.plate, (PLATE, DEEP_PLATE)[int(rng.integers(2))], rng)
    if layout.bowl is not None:
        serve(canvas, layout.bowl, BOWL, rng)
    places = spots(layout, len(menu.foods), dip=menu.dip is not None, rng=dice.foods)
    for food, place in zip(menu.foods, places, strict=True):
        sketch = Sketch(canvas, place)
        food.paint(sketch, dice.foods)
        canvas.lay(sketch, food.material, dice.foods, CATEGORY_IDS[food.name])
    if menu.dip is not None:
        sauce = fill_dish(canvas, layout.dip, VARIED if menu.dip == SAUCE else RED, dice.dip)
        canvas.labels[sauce] = CATEGORY_IDS[menu.dip]
    labels = canvas.labels[::SUPERSAMPLING, ::SUPERSAMPLING].copy()
    return DemoScene(develop(canvas.pixels, layout.size, dice.camera), labels)


def develop(pixels: Colours, size: tuple[int, int], rng: np.random.Generator) -> AnyImage:
    """Return the photo, of a width and height, of a canvas: lamp colour, vignette, lens, noise, whatever it shows."""
    photo = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.4, 0.75))
    warmth, green = rng.normal(0, 0.07), rng.normal(0, 0.012)
    gains = np.array([1 + warmth, 1 + green, 1 - warmth], np.float32) * rng.uniform(0.85, 1.2)
    # Brightness falls away from the lamp and towards the corners.
    along, _ = coordinates((size[1], size[0]), rng.uniform(0, 2 * np.pi))
    side = (along - along.min()) / np.ptp(along) - 0.5
    y, x = np.ogrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    falloff = np.asarray(1 + rng.uniform(0, 0.4) * side - rng.uniform(0, 0.16) * (x**2 + y**2), np.float32)
    photo *= falloff[..., np.newaxis] * gains
    photo = np.clip(photo, 0, 1) ** np.float32(rng.uniform(0.82, 1.1))
    grain = rng.standard_normal(photo.shape, dtype=np.float32) * np.float32(rng.uniform(0.004, 0.018))
    return np.asarray(np.clip((photo + grain) * 255 + 0.5, 0, 255), np.uint8)
