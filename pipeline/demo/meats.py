"""Painters of meat, fish and octopus: each sketches one helping into a place."""

import numpy as np

from pipeline.demo.canvas import Sketch
from pipeline.demo.fields import chance
from pipeline.demo.outlines import arc, blob, disc, ribbon, rod, scattered, turned
from pipeline.demo.plants import row, varied


def paint_sausage(sketch: Sketch, rng: np.random.Generator) -> None:
    """Two to four fat curved sausages with slanted cuts."""
    radius, count, angle = sketch.place.radius, int(rng.integers(2, 5)), rng.uniform(0, np.pi)
    colour = varied(rng, (0.62, 0.25, 0.12), 0.08)
    width = min(0.42, 1.15 / count) * radius
    for offset in (np.arange(count) - (count - 1) / 2) * 1.25 * width:
        path = arc(1.5 * radius, rng.normal(0, 0.35))
        ends = np.sqrt(1 - np.linspace(-0.97, 0.97, len(path)) ** 4)
        at = tuple(turned(np.array([[0, offset]]), angle)[0])
        tone, lean = varied(rng, colour, 0.06), angle + rng.normal(0, 0.06)
        sketch.piece(turned(ribbon(path, width * ends), lean, at), tone)
        for position in path[3:-3:2]:
            cut = turned(rod(0.7 * width, 0.12 * width), 1.1) + position
            sketch.mark(turned(cut, lean, at), (tone[0] * 0.5, tone[1] * 0.42, tone[2] * 0.4))


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
        sketch.mark(mark, (colour[0] * 0.4, colour[1] * 0.35, colour[2] * 0.35))


def paint_raw_fish(sketch: Sketch, rng: np.random.Generator) -> None:
    """Row of raw slices: salmon with white lines, or pale fish with a pink edge."""
    radius, salmon = sketch.place.radius, chance(rng, 0.7)
    flesh, line = ((0.97, 0.5, 0.4), (1.0, 0.8, 0.72)) if salmon else ((0.96, 0.78, 0.78), (0.9, 0.42, 0.46))
    centres = row(rng, int(rng.integers(6, 9)), 1.45 * radius, 0.5)
    angle = np.arctan2(*(centres[-1] - centres[0])[::-1]) + 1.3 * rng.choice((-1, 1))
    for centre in centres:
        lean, length, width = angle + rng.normal(0, 0.07), 1.15 * radius, 0.46 * radius
        tone = varied(rng, flesh, 0.03)
        sketch.piece(turned(rod(length, width, corner=0.28), lean, tuple(centre)), tone)
        for position in np.arange(-0.4, 0.41, 0.14 if salmon else 0.8) * length:
            stripe = ribbon(arc(0.8 * width, 0.9), 0.035 * radius) @ np.array([[0, 1], [1, 0]]) + (position, 0)
            sketch.mark(turned(stripe, lean, tuple(centre)), line)


def paint_octopus(sketch: Sketch, rng: np.random.Generator) -> None:
    """Curled, tapering purple arms with pale suckers."""
    radius = sketch.place.radius
    colour = varied(rng, (0.62, 0.2, 0.4), 0.07)
    for centre in scattered(rng, int(rng.integers(6, 9)), 0.5 * radius):
        path = arc(1.35 * radius, rng.uniform(1.2, 3.6) * rng.choice((-1, 1)), points=16)
        widths = np.linspace(0.42, 0.1, len(path)) * radius
        angle, tone = rng.uniform(0, 2 * np.pi), varied(rng, colour, 0.08)
        arm = turned(path, angle, tuple(0.7 * centre))
        sketch.piece(ribbon(arm, widths), tone)
        inner = arm + 0.12 * (arm.mean(axis=0) - arm)
        for point, width in zip(inner, widths, strict=True):
            sketch.mark(disc(0.27 * width, corners=10) + point, (0.93, 0.78, 0.78))
            sketch.mark(disc(0.11 * width, corners=8) + point, (tone[0] * 0.8, tone[1], tone[2]))
