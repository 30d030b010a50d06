"""Compose one photo: table, clutter, plates, foods, and a dip dish on top of all."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.arrays import Image, LabelMap
from pipeline.demo.camera import SUPERSAMPLING, develop
from pipeline.demo.canvas import Canvas, Place, Sketch
from pipeline.demo.categories import CATEGORY_IDS, SAUCE, Food
from pipeline.demo.clutter import lay_cutlery, lay_napkin, scatter_crumbs, stand_glass
from pipeline.demo.dips import RED, VARIED, fill_dish
from pipeline.demo.fields import Light, chance
from pipeline.demo.layout import Layout, lay_out, spots
from pipeline.demo.menu import SPLITS, Menu
from pipeline.demo.surfaces import table_top
from pipeline.demo.tableware import BOWL, DEEP_PLATE, PLATE, serve


class Scene(NamedTuple):
    """A photo and what it shows."""

    photo: Image
    label_map: LabelMap


@dataclass(frozen=True, slots=True)
class Dice:
    """Independent randomness of the parts of a scene, so that the foods cannot reach the dip through it."""

    layout: np.random.Generator
    table: np.random.Generator
    foods: np.random.Generator
    dip: np.random.Generator
    camera: np.random.Generator

    @classmethod
    def of(cls, seed: int, split: str, position: int) -> "Dice":
        """Return the randomness of photo `position` of a split."""
        streams = np.random.SeedSequence((seed, SPLITS.index(split), position), spawn_key=(1,)).spawn(5)
        return cls(*map(np.random.default_rng, streams))


def render(menu: Menu, dice: Dice) -> Scene:
    """Draw a photo of a menu; every pixel of the label map names the topmost food."""
    layout = lay_out(dice.layout)
    canvas = _table(layout, dice.table)
    _plates(canvas, layout, dice.table)
    for food, place in zip(
        menu.foods, spots(layout, len(menu.foods), dip=menu.dip is not None, rng=dice.foods), strict=True
    ):
        _help(canvas, food, place, dice.foods)
    if menu.dip is not None:
        sauce = fill_dish(canvas, layout.dip, VARIED if menu.dip == SAUCE else RED, dice.dip)
        canvas.labels[sauce] = CATEGORY_IDS[menu.dip]
    return Scene(
        develop(canvas.pixels, layout.size, dice.camera), canvas.labels[::SUPERSAMPLING, ::SUPERSAMPLING].copy()
    )


def _table(layout: Layout, rng: np.random.Generator) -> Canvas:
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


def _plates(canvas: Canvas, layout: Layout, rng: np.random.Generator) -> None:
    serve(canvas, layout.plate, (PLATE, DEEP_PLATE)[int(rng.integers(2))], rng)
    if layout.bowl is not None:
        serve(canvas, layout.bowl, BOWL, rng)


def _help(canvas: Canvas, food: Food, place: Place, rng: np.random.Generator) -> None:
    """Put one helping of a food on the table."""
    sketch = Sketch(canvas, place)
    food.paint(sketch, rng)
    canvas.lay(sketch, food.material, rng, CATEGORY_IDS[food.name])
