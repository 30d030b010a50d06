"""Sauces in a dish of their own."""

from typing import NamedTuple

import numpy as np

from pipeline.arrays import Mask
from pipeline.demo.canvas import Canvas, Colour, Place, Sketch, SurfaceMaterial, arc, blob, chance, ribbon, turned
from pipeline.demo.foods import varied
from pipeline.demo.surfaces import choose
from pipeline.demo.tableware import DIP_DISH, SAUCER, serve

CLEARANCE = 13  # photo pixels of dish left around a sauce: more than a JPEG block and the lens blur reach


class Palette(NamedTuple):
    """Colours and thickness of a kind of sauce."""

    colours: tuple[Colour, ...]
    lumps: float  # height of lumps in pixels


RED = Palette(((0.7, 0.1, 0.06), (0.62, 0.07, 0.05), (0.76, 0.15, 0.07), (0.58, 0.1, 0.06)), lumps=0.5)
"""Ketchup and chili paste alike."""
VARIED = Palette(
    (
        (0.86, 0.66, 0.12), (0.93, 0.89, 0.76), (0.42, 0.25, 0.12), (0.36, 0.2, 0.1), (0.45, 0.52, 0.2),
        (0.92, 0.7, 0.5), (0.8, 0.42, 0.12), (0.55, 0.16, 0.1), (0.7, 0.22, 0.1),
    ),
    lumps=0.9,
)  # fmt: skip
"""Sauce: mustard, cream, gravy, soy, herbs, cocktail, curry, reddish barbecue and tomato."""


def fill_dish(canvas: Canvas, place: Place, palette: Palette, rng: np.random.Generator) -> Mask:
    """Put a dish with a sauce, all background, on top of everything; return the sauce's pixels on the whole canvas."""
    flat = chance(rng, 0.4)
    serve(canvas, place, SAUCER if flat else DIP_DISH, rng)
    clear = place.radius - 2 * CLEARANCE / canvas.tilt  # twice: the canvas has two pixels a photo pixel
    radius = min(clear, place.radius * 0.74)
    sketch = Sketch(canvas, place._replace(radius=radius))
    spread = rng.uniform(0.75, 0.95) if flat else 1.0
    outline = blob(rng, radius * spread, wobble=0.09 if flat else 0.02, waves=4)
    outline *= np.minimum(1, radius / np.linalg.norm(outline, axis=1, keepdims=True))
    colour = choose(rng, palette.colours)
    sketch.piece(outline, colour)
    for _ in range(int(rng.integers(1, 4))):  # swirls left by a spoon
        path = arc(radius * rng.uniform(0.6, 1.1), rng.uniform(1.5, 3.5))
        swirl = ribbon(0.5 * path, np.sin(np.linspace(0.1, 3.0, len(path))) * radius * rng.uniform(0.1, 0.22))
        sketch.mark(turned(swirl, rng.uniform(0, 2 * np.pi)), varied(rng, colour, 0.06))
    sauce = SurfaceMaterial(edge=0.3, rise=0.5, bump=palette.lumps, grain=0.3, mottle=0.05, gloss=0.4, shadow=0.05)
    canvas.lay(sketch, sauce, rng, 0)
    mask = np.zeros(canvas.labels.shape, bool)
    mask[sketch.rows, sketch.columns] = sketch.body
    return mask
