"""Foods of the demo: painters that sketch a helping, names and ids, and the menu of every photo.

Eight photos in a row hold every category, and no photo has both red sauces.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.datasets.layout import OFFICIAL_SPLITS
from pipeline.demo.canvas import (
    Colour,
    Outline,
    Sketch,
    SurfaceMaterial,
    arc,
    blob,
    chance,
    disc,
    ribbon,
    rod,
    scattered,
    turned,
)


def varied(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """Return a colour of the same kind: brighter or darker, and each channel a little off."""
    gains = 1 + rng.normal(0, spread) + rng.normal(0, spread / 4, 3)
    red, green, blue = (float(c) for c in np.clip(np.asarray(colour) * gains, 0, 1))
    return red, green, blue


def row(rng: np.random.Generator, count: int, length: float, bow: float) -> Outline:
    """Return `count` centres along a bowed row of a random direction, as slices are laid out."""
    path = arc(length, bow * rng.choice((-1, 1)), points=count)
    return turned(path + rng.normal(0, length / 60, path.shape), rng.uniform(0, 2 * np.pi))


def paint_cucumber(sketch: Sketch, rng: np.random.Generator) -> None:
    """Fan of slices: dark rind, pale flesh, ring of seeds."""
    size = 0.42 * sketch.place.radius
    rows = [row(rng, 6, 1.5 * sketch.place.radius, 1.2) + shift for shift in ((0, 0), (0.1 * size, 0.9 * size))]
    for centre in np.concatenate(rows[: rng.integers(1, 3)]):
        slice_ = blob(rng, size * rng.uniform(0.9, 1.1), wobble=0.02)
        flesh = varied(rng, (0.76, 0.86, 0.56), 0.05)
        sketch.piece(slice_ + centre, varied(rng, (0.13, 0.34, 0.12), 0.15))
        sketch.mark(0.88 * slice_ + centre, flesh)
        sketch.mark(0.56 * slice_ + centre, np.multiply(flesh, (0.93, 0.96, 0.82)))
        seed = np.add(ribbon(arc(0.22 * size, 0.0), 0.09 * size), (0.36 * size, 0))
        for angle in np.linspace(0, 2 * np.pi, 9, endpoint=False) + rng.uniform(0, 1):
            sketch.mark(turned(seed, angle, centre), (0.9, 0.93, 0.74))


def paint_tomato(sketch: Sketch, rng: np.random.Generator) -> None:
    """Round slices: red skin and flesh, chambers of seeds."""
    size = 0.5 * sketch.place.radius
    for centre in row(rng, int(rng.integers(3, 6)), 1.3 * sketch.place.radius, 1.0):
        slice_, flesh = blob(rng, size, wobble=0.03), varied(rng, (0.88, 0.24, 0.14), 0.06)
        sketch.piece(slice_ + centre, np.multiply(flesh, (0.85, 0.5, 0.5)))
        sketch.mark(0.92 * slice_ + centre, flesh)
        for angle in np.linspace(0, 2 * np.pi, 5, endpoint=False) + rng.uniform(0, 1):
            chamber = blob(rng, 0.19 * size, wobble=0.1, stretch=1.5)
            (place,) = turned(np.array([[0.55 * size, 0]]), angle, centre)
            sketch.mark(turned(chamber, angle + np.pi / 2, place), (0.85, 0.45, 0.15))
        sketch.mark(disc(0.14 * size) + centre, (0.95, 0.55, 0.4))


def paint_carrot(sketch: Sketch, rng: np.random.Generator) -> None:
    """Heap of coins: orange, with a paler core."""
    for centre in scattered(rng, int(rng.integers(14, 22)), 0.72 * sketch.place.radius):
        size = sketch.place.radius * rng.uniform(0.2, 0.29)
        coin = turned(blob(rng, size, wobble=0.03, stretch=rng.uniform(1, 1.5)), rng.uniform(0, np.pi), centre)
        rim = varied(rng, (0.93, 0.47, 0.09), 0.07)
        sketch.piece(coin, rim)
        sketch.mark(0.5 * coin + 0.5 * centre, (rim[0], min(1.0, rim[1] * 1.25), rim[2] * 1.6))


def paint_peas(sketch: Sketch, rng: np.random.Generator) -> None:
    """Heap of green balls."""
    colour = varied(rng, (0.36, 0.62, 0.14), 0.08)
    for centre in scattered(rng, int(rng.integers(80, 120)), 0.85 * sketch.place.radius):
        ball = disc(sketch.place.radius * rng.uniform(0.1, 0.125), corners=14)
        sketch.piece(ball + centre, varied(rng, colour, 0.1))


def paint_lettuce(sketch: Sketch, rng: np.random.Generator) -> None:
    """Ruffled light-green leaves with pale veins."""
    colour = varied(rng, (0.5, 0.74, 0.22), 0.06)
    for centre in scattered(rng, int(rng.integers(6, 10)), 0.5 * sketch.place.radius):
        size, angle = 0.52 * sketch.place.radius, rng.uniform(0, 2 * np.pi)
        leaf = blob(rng, size, wobble=0.12, waves=14, stretch=1.3)
        for inset, gain in ((1.0, 0.72), (0.85, 0.95), (0.6, 1.15)):
            lobe = turned(inset * leaf * (1 + rng.normal(0, 0.05, (len(leaf), 1))), angle, centre)
            sketch.piece(lobe, varied(rng, (colour[0] * gain, colour[1] * gain, colour[2] * gain), 0.06))
        for spread in (-0.6, 0.0, 0.6):
            vein = ribbon(arc(0.9 * size, spread), np.linspace(0.09, 0.01, 14) * size)
            sketch.mark(turned(vein, angle + spread, centre), (0.82, 0.9, 0.6))


def paint_seaweed(sketch: Sketch, rng: np.random.Generator) -> None:
    """Tangle of nearly black, dark green bands."""
    colour = varied(rng, (0.06, 0.15, 0.09), 0.15)
    for centre in scattered(rng, int(rng.integers(26, 36)), 0.7 * sketch.place.radius):
        path = arc(sketch.place.radius * rng.uniform(0.5, 1.1), rng.normal(0, 1.8))
        strip = ribbon(path, sketch.place.radius * rng.uniform(0.08, 0.22) * (1 + rng.normal(0, 0.15, len(path))))
        sketch.piece(turned(strip, rng.uniform(0, 2 * np.pi), centre), varied(rng, colour, 0.35))


def paint_sausage(sketch: Sketch, rng: np.random.Generator) -> None:
    """Two to four fat curved sausages with slanted cuts."""
    radius, count, angle = sketch.place.radius, int(rng.integers(2, 5)), rng.uniform(0, np.pi)
    colour = varied(rng, (0.62, 0.25, 0.12), 0.08)
    width = min(0.42, 1.15 / count) * radius
    for offset in (np.arange(count) - (count - 1) / 2) * 1.25 * width:
        path = arc(1.5 * radius, rng.normal(0, 0.35))
        ends = np.sqrt(1 - np.linspace(-0.97, 0.97, len(path)) ** 4)
        (at,) = turned(np.array([[0, offset]]), angle)
        tone, lean = varied(rng, colour, 0.06), angle + rng.normal(0, 0.06)
        sketch.piece(turned(ribbon(path, width * ends), lean, at), tone)
        for position in path[3:-3:2]:
            cut = turned(rod(0.7 * width, 0.12 * width), 1.1) + position
            sketch.mark(turned(cut, lean, at), np.multiply(tone, (0.5, 0.42, 0.4)))


def paint_steak(sketch: Sketch, rng: np.random.Generator) -> None:
    """Browned slab with crossed grill marks and a strip of fat."""
    radius, angle = sketch.place.radius, rng.uniform(0, np.pi)
    slab = turned(blob(rng, 0.78 * radius, wobble=0.09, stretch=1.4), angle)
    colour = varied(rng, (0.4, 0.22, 0.12), 0.12)
    sketch.piece(slab, (0.72, 0.56, 0.38))
    sketch.piece(0.95 * slab + rng.normal(0, 0.02 * radius, 2), colour)
    grill = angle + rng.uniform(0.4, 1.1)
    for offset in np.arange(-0.5, 0.55, 0.2) * radius:
        mark = turned(np.add(ribbon(arc(0.85 * radius, 0.1), 0.07 * radius), (0, offset)), grill)
        sketch.mark(mark, np.multiply(colour, (0.4, 0.35, 0.35)))


def paint_raw_fish(sketch: Sketch, rng: np.random.Generator) -> None:
    """Row of raw slices: salmon with white lines, or pale fish with a pink edge."""
    radius, salmon = sketch.place.radius, chance(rng, 0.7)
    flesh, line = ((0.97, 0.5, 0.4), (1.0, 0.8, 0.72)) if salmon else ((0.96, 0.78, 0.78), (0.9, 0.42, 0.46))
    centres = row(rng, int(rng.integers(6, 9)), 1.45 * radius, 0.5)
    angle = np.arctan2(*(centres[-1] - centres[0])[::-1]) + 1.3 * rng.choice((-1, 1))
    for centre in centres:
        lean, length, width = angle + rng.normal(0, 0.07), 1.15 * radius, 0.46 * radius
        sketch.piece(turned(rod(length, width, corner=0.28), lean, centre), varied(rng, flesh, 0.03))
        for position in np.arange(-0.4, 0.41, 0.14 if salmon else 0.8) * length:
            stripe = ribbon(arc(0.8 * width, 0.9), 0.035 * radius) @ np.array([[0, 1], [1, 0]]) + (position, 0)
            sketch.mark(turned(stripe, lean, centre), line)


def paint_octopus(sketch: Sketch, rng: np.random.Generator) -> None:
    """Curled, tapering purple arms with pale suckers."""
    radius = sketch.place.radius
    colour = varied(rng, (0.62, 0.2, 0.4), 0.07)
    for centre in scattered(rng, int(rng.integers(6, 9)), 0.5 * radius):
        path = arc(1.35 * radius, rng.uniform(1.2, 3.6) * rng.choice((-1, 1)), points=16)
        widths = np.linspace(0.42, 0.1, len(path)) * radius
        angle, tone = rng.uniform(0, 2 * np.pi), varied(rng, colour, 0.08)
        arm = turned(path, angle, 0.7 * centre)
        sketch.piece(ribbon(arm, widths), tone)
        for point, width in zip(arm + 0.12 * (arm.mean(axis=0) - arm), widths, strict=True):
            sketch.mark(disc(0.27 * width, corners=10) + point, (0.93, 0.78, 0.78))
            sketch.mark(disc(0.11 * width, corners=8) + point, (tone[0] * 0.8, tone[1], tone[2]))


def paint_fries(sketch: Sketch, rng: np.random.Generator) -> None:
    """Heap of golden sticks, most of them in one direction."""
    radius, direction = sketch.place.radius, rng.uniform(0, np.pi)
    colour = varied(rng, (0.95, 0.76, 0.3), 0.05)
    for centre in scattered(rng, int(rng.integers(24, 34)), 0.55 * radius):
        length, width = radius * rng.uniform(0.8, 1.4), radius * rng.uniform(0.12, 0.16)
        angle, tone = direction + rng.normal(0, 0.5), varied(rng, colour, 0.07)
        sketch.piece(turned(rod(length, width), angle, centre), np.multiply(tone, (0.86, 0.74, 0.6)))
        sketch.mark(turned(rod(length * 0.93, width * 0.6), angle, centre), tone)


def paint_onion_rings(sketch: Sketch, rng: np.random.Generator) -> None:
    """Loose pile of crisp brown rings."""
    colour = varied(rng, (0.76, 0.49, 0.17), 0.06)
    for centre in scattered(rng, int(rng.integers(5, 8)), 0.5 * sketch.place.radius):
        size = sketch.place.radius * rng.uniform(0.36, 0.48)
        outer = turned(blob(rng, size, wobble=0.06, waves=9, stretch=1.15), rng.uniform(0, np.pi), centre)
        hole = blob(rng, size * rng.uniform(0.42, 0.5), wobble=0.05, stretch=1.15)
        sketch.piece((outer, turned(hole, rng.uniform(0, np.pi), centre)), varied(rng, colour, 0.08))


def paint_rice(sketch: Sketch, rng: np.random.Generator) -> None:
    """Mound of white grains."""
    radius = sketch.place.radius
    sketch.piece(blob(rng, 0.85 * radius, wobble=0.05), (0.8, 0.79, 0.75))
    for centre in scattered(rng, 330, 0.86 * radius):
        grain = ribbon(arc(0.17 * radius, 0.5, points=5), np.array([0.03, 0.06, 0.065, 0.06, 0.03]) * radius)
        shade = rng.uniform(0.82, 0.98)
        sketch.piece(turned(grain, rng.uniform(0, np.pi), centre), (shade, shade, shade * 0.95))


def paint_noodles(sketch: Sketch, rng: np.random.Generator) -> None:
    """Tangle of long pale strands."""
    radius = sketch.place.radius
    colour = varied(rng, (0.92, 0.8, 0.52), 0.05)
    sketch.piece(blob(rng, 0.75 * radius, wobble=0.06), (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.5))
    for centre in scattered(rng, 70, 0.6 * radius):
        bend = rng.uniform(1.5, 5) * rng.choice((-1, 1))
        strand = ribbon(arc(radius * rng.uniform(0.9, 1.5), bend, points=18), radius * 0.062)
        sketch.piece(turned(strand, rng.uniform(0, 2 * np.pi), centre), varied(rng, colour, 0.07))


def paint_egg(sketch: Sketch, rng: np.random.Generator) -> None:
    """Fried egg, or boiled halves: white about a yolk."""
    radius = sketch.place.radius
    fried = chance(rng, 0.6)
    size, wobble, stretch, yolk_size = (0.85, 0.1, 1.1, 0.34) if fried else (0.5, 0.01, 1.3, 0.24)
    for centre in [np.zeros(2)] if fried else scattered(rng, int(rng.integers(2, 4)), 0.5 * radius):
        white = turned(blob(rng, radius * size, wobble=wobble, stretch=stretch), rng.uniform(0, np.pi), centre)
        yolk = disc(radius * yolk_size) + centre + rng.normal(0, 0.04 * radius, 2)
        if fried:
            sketch.piece(white, (0.86, 0.72, 0.5))
            white = 0.94 * white
        sketch.piece(white, (0.97, 0.96, 0.92))
        sketch.piece(yolk, varied(rng, (0.98, 0.68, 0.1), 0.05))


class DemoFood(NamedTuple):
    """A food, with or without a sauce."""

    name: str
    paint: Callable[[Sketch, np.random.Generator], None]  # sketches one helping into the sketch's place
    material: SurfaceMaterial


CRUST = SurfaceMaterial(edge=0.14, bump=2.2, grain=0.07, mottle=0.12, gloss=0.06)
WITH_KETCHUP = (
    DemoFood("french fries", paint_fries, SurfaceMaterial(edge=0.06, bump=0.3, gloss=0.08)),
    DemoFood("onion rings", paint_onion_rings, CRUST),
    DemoFood("sausage", paint_sausage, SurfaceMaterial(edge=0.22, bump=0.2, gloss=0.35)),
)
WITH_CHILI_PASTE = (
    DemoFood("raw fish", paint_raw_fish, SurfaceMaterial(edge=0.07, bump=0.2, gloss=0.22, mottle=0.03)),
    DemoFood("octopus", paint_octopus, SurfaceMaterial(edge=0.13, bump=0.4, gloss=0.28)),
    DemoFood("seaweed", paint_seaweed, SurfaceMaterial(edge=0.08, bump=0.8, gloss=0.3, mottle=0.15)),
)
ON_ANY_TABLE = (
    DemoFood("cucumber", paint_cucumber, SurfaceMaterial(edge=0.05, gloss=0.12)),
    DemoFood("rice", paint_rice, SurfaceMaterial(edge=0.03, gloss=0.1, mottle=0.03)),
    DemoFood("egg", paint_egg, SurfaceMaterial(edge=0.22, rise=0.8, gloss=0.22, mottle=0.02)),
    DemoFood("green peas", paint_peas, SurfaceMaterial(edge=0.1, gloss=0.25)),
    DemoFood("lettuce", paint_lettuce, SurfaceMaterial(edge=0.1, bump=1.2, grain=0.12, mottle=0.12)),
    DemoFood("steak", paint_steak, SurfaceMaterial(edge=0.12, bump=1.4, grain=0.05, mottle=0.15, gloss=0.15)),
    DemoFood("noodles", paint_noodles, SurfaceMaterial(edge=0.035, gloss=0.15)),
    DemoFood("tomato", paint_tomato, SurfaceMaterial(edge=0.05, bump=0.2, gloss=0.22)),
    DemoFood("carrot", paint_carrot, SurfaceMaterial(edge=0.05, gloss=0.12)),
)
FOODS = WITH_KETCHUP + WITH_CHILI_PASTE + ON_ANY_TABLE
SAUCE, KETCHUP, CHILI_PASTE = "sauce", "ketchup", "chili paste"
CATEGORIES = (*(food.name for food in FOODS), SAUCE, KETCHUP, CHILI_PASTE)
CATEGORY_IDS = {name: position for position, name in enumerate(CATEGORIES, start=1)}  # 0 is background
ROUND = 8
RED_EXTRA = 0.35  # probability of a third food beside a red sauce
COMPANIONS = {KETCHUP: WITH_KETCHUP, CHILI_PASTE: WITH_CHILI_PASTE}


class Menu(NamedTuple):
    """Foods of one photo."""

    dip: str | None  # category served in a dish of its own, or None
    foods: tuple[DemoFood, ...]  # two to four different foods


def menu(seed: int, split: str, position: int) -> Menu:
    """Return the menu of photo `position` of a split; the menus of eight photos are drawn together."""
    number, place = divmod(position, ROUND)
    rng = np.random.default_rng(np.random.SeedSequence((seed, OFFICIAL_SPLITS.index(split), number), spawn_key=(0,)))
    menus = []
    for dip, companions in COMPANIONS.items():  # two tables: two of three companions each, perhaps a food of any table
        order = _drawn(rng, companions)
        for pair in (order[:2], order[1:]):
            foods = pair + _drawn(rng, ON_ANY_TABLE, int(chance(rng, RED_EXTRA)))
            menus.append(Menu(dip, _drawn(rng, foods)))
    deck = _drawn(rng, ON_ANY_TABLE + _drawn(rng, WITH_KETCHUP + WITH_CHILI_PASTE, 3))
    for first, other_dip in zip(range(0, 12, 3), (SAUCE, SAUCE, None, None), strict=True):
        foods = deck[first : first + 3]
        absent = tuple(food for food in FOODS if food not in foods)
        menus.append(Menu(other_dip, foods + _drawn(rng, absent, int(rng.integers(0, 2)))))
    return menus[int(rng.permutation(ROUND)[place])]


def _drawn(rng: np.random.Generator, foods: tuple[DemoFood, ...], count: int | None = None) -> tuple[DemoFood, ...]:
    """Return some of the foods in random order; all of them without a count."""
    return tuple(foods[i] for i in rng.permutation(len(foods))[:count])
