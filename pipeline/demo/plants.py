"""Painters of vegetables and seaweed: each sketches one helping into a place."""

import numpy as np

from pipeline.demo.canvas import Sketch
from pipeline.demo.fields import Colour
from pipeline.demo.outlines import Outline, arc, blob, disc, ribbon, scattered, turned


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
        slice_, at = blob(rng, size * rng.uniform(0.9, 1.1), wobble=0.02), tuple(centre)
        flesh = varied(rng, (0.76, 0.86, 0.56), 0.05)
        sketch.piece(slice_ + at, varied(rng, (0.13, 0.34, 0.12), 0.15))
        sketch.mark(0.88 * slice_ + at, flesh)
        sketch.mark(0.56 * slice_ + at, (flesh[0] * 0.93, flesh[1] * 0.96, flesh[2] * 0.82))
        for angle in np.linspace(0, 2 * np.pi, 9, endpoint=False) + rng.uniform(0, 1):
            seed = np.add(ribbon(arc(0.22 * size, 0.0), 0.09 * size), (0.36 * size, 0))
            sketch.mark(turned(seed, angle, at), (0.9, 0.93, 0.74))


def paint_tomato(sketch: Sketch, rng: np.random.Generator) -> None:
    """Round slices: red skin and flesh, chambers of seeds."""
    size = 0.5 * sketch.place.radius
    for centre in row(rng, int(rng.integers(3, 6)), 1.3 * sketch.place.radius, 1.0):
        slice_, at = blob(rng, size, wobble=0.03), tuple(centre)
        flesh = varied(rng, (0.88, 0.24, 0.14), 0.06)
        sketch.piece(slice_ + at, (flesh[0] * 0.85, flesh[1] * 0.5, flesh[2] * 0.5))
        sketch.mark(0.92 * slice_ + at, flesh)
        for angle in np.linspace(0, 2 * np.pi, 5, endpoint=False) + rng.uniform(0, 1):
            chamber = blob(rng, 0.19 * size, wobble=0.1, stretch=1.5)
            sketch.mark(
                turned(chamber, angle + np.pi / 2, tuple(turned(np.array([[0.55 * size, 0]]), angle, at)[0])),
                (0.85, 0.45, 0.15),
            )
        sketch.mark(disc(0.14 * size) + at, (0.95, 0.55, 0.4))


def paint_carrot(sketch: Sketch, rng: np.random.Generator) -> None:
    """Heap of coins: orange, with a paler core."""
    for centre in scattered(rng, int(rng.integers(14, 22)), 0.72 * sketch.place.radius):
        size = sketch.place.radius * rng.uniform(0.2, 0.29)
        coin = turned(blob(rng, size, wobble=0.03, stretch=rng.uniform(1, 1.5)), rng.uniform(0, np.pi), tuple(centre))
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
            lobe = turned(inset * leaf * (1 + rng.normal(0, 0.05, (len(leaf), 1))), angle, tuple(centre))
            sketch.piece(lobe, varied(rng, (colour[0] * gain, colour[1] * gain, colour[2] * gain), 0.06))
        for spread in (-0.6, 0.0, 0.6):
            vein = ribbon(arc(0.9 * size, spread), np.linspace(0.09, 0.01, 14) * size)
            sketch.mark(turned(vein, angle + spread, tuple(centre)), (0.82, 0.9, 0.6))


def paint_seaweed(sketch: Sketch, rng: np.random.Generator) -> None:
    """Tangle of nearly black, dark green bands."""
    colour = varied(rng, (0.06, 0.15, 0.09), 0.15)
    for centre in scattered(rng, int(rng.integers(26, 36)), 0.7 * sketch.place.radius):
        path = arc(sketch.place.radius * rng.uniform(0.5, 1.1), rng.normal(0, 1.8))
        widths = sketch.place.radius * rng.uniform(0.08, 0.22) * (1 + rng.normal(0, 0.15, len(path)))
        strip = ribbon(path, widths)
        sketch.piece(turned(strip, rng.uniform(0, 2 * np.pi), tuple(centre)), varied(rng, colour, 0.35))
