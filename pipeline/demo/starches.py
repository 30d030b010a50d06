"""Painters of fries, onion rings, rice, noodles and bread: each sketches one helping into a place."""

import numpy as np

from pipeline.demo.canvas import Sketch
from pipeline.demo.fields import chance
from pipeline.demo.outlines import arc, blob, disc, ribbon, rod, scattered, turned
from pipeline.demo.plants import varied


def paint_fries(sketch: Sketch, rng: np.random.Generator) -> None:
    """Heap of golden sticks, most of them in one direction."""
    radius, direction = sketch.place.radius, rng.uniform(0, np.pi)
    colour = varied(rng, (0.95, 0.76, 0.3), 0.05)
    for centre in scattered(rng, int(rng.integers(24, 34)), 0.55 * radius):
        length, width = radius * rng.uniform(0.8, 1.4), radius * rng.uniform(0.12, 0.16)
        angle = direction + rng.normal(0, 0.5)
        tone = varied(rng, colour, 0.07)
        sketch.piece(turned(rod(length, width), angle, tuple(centre)), (tone[0] * 0.86, tone[1] * 0.74, tone[2] * 0.6))
        sketch.mark(turned(rod(length * 0.93, width * 0.6), angle, tuple(centre)), tone)


def paint_onion_rings(sketch: Sketch, rng: np.random.Generator) -> None:
    """Loose pile of crisp brown rings."""
    colour = varied(rng, (0.76, 0.49, 0.17), 0.06)
    for centre in scattered(rng, int(rng.integers(5, 8)), 0.5 * sketch.place.radius):
        size = sketch.place.radius * rng.uniform(0.36, 0.48)
        outer = turned(blob(rng, size, wobble=0.06, waves=9, stretch=1.15), rng.uniform(0, np.pi), tuple(centre))
        hole = turned(
            blob(rng, size * rng.uniform(0.42, 0.5), wobble=0.05, stretch=1.15), rng.uniform(0, np.pi), tuple(centre)
        )
        sketch.piece((outer, hole), varied(rng, colour, 0.08))


def paint_rice(sketch: Sketch, rng: np.random.Generator) -> None:
    """Mound of white grains."""
    radius = sketch.place.radius
    sketch.piece(blob(rng, 0.85 * radius, wobble=0.05), (0.8, 0.79, 0.75))
    for centre in scattered(rng, 330, 0.86 * radius):
        grain = ribbon(arc(0.17 * radius, 0.5, points=5), np.array([0.03, 0.06, 0.065, 0.06, 0.03]) * radius)
        shade = rng.uniform(0.82, 0.98)
        sketch.piece(turned(grain, rng.uniform(0, np.pi), tuple(centre)), (shade, shade, shade * 0.95))


def paint_noodles(sketch: Sketch, rng: np.random.Generator) -> None:
    """Tangle of long pale strands."""
    radius = sketch.place.radius
    colour = varied(rng, (0.92, 0.8, 0.52), 0.05)
    sketch.piece(blob(rng, 0.75 * radius, wobble=0.06), (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.5))
    for centre in scattered(rng, 70, 0.6 * radius):
        bend = rng.uniform(1.5, 5) * rng.choice((-1, 1))
        strand = ribbon(arc(radius * rng.uniform(0.9, 1.5), bend, points=18), radius * 0.062)
        sketch.piece(turned(strand, rng.uniform(0, 2 * np.pi), tuple(centre)), varied(rng, colour, 0.07))


def paint_egg(sketch: Sketch, rng: np.random.Generator) -> None:
    """Fried egg, or boiled halves: white about a yolk."""
    radius = sketch.place.radius
    fried = chance(rng, 0.6)
    for centre in [np.zeros(2)] if fried else scattered(rng, int(rng.integers(2, 4)), 0.5 * radius):
        white = blob(
            rng, radius * (0.85 if fried else 0.5), wobble=0.1 if fried else 0.01, stretch=1.1 if fried else 1.3
        )
        white = turned(white, rng.uniform(0, np.pi), tuple(centre))
        yolk = disc(radius * (0.34 if fried else 0.24)) + centre + rng.normal(0, 0.04 * radius, 2)
        if fried:
            sketch.piece(white, (0.86, 0.72, 0.5))
            white = 0.94 * white
        sketch.piece(white, (0.97, 0.96, 0.92))
        sketch.piece(yolk, varied(rng, (0.98, 0.68, 0.1), 0.05))
