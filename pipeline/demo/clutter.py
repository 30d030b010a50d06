"""Things beside the food, all background: cutlery, chopsticks, napkins, glasses, crumbs."""

import cv2
import numpy as np

from pipeline.demo.canvas import Canvas, Colour, Place, Sketch, SurfaceMaterial, blob, disc, rod, shaft, turned
from pipeline.demo.foods import varied
from pipeline.demo.surfaces import CLOTHS, choose

STEEL: Colour = (0.66, 0.67, 0.69)
METAL = SurfaceMaterial(edge=0.03, rise=1.0, gloss=0.5, mottle=0.04, shadow=0.03)
FABRIC = SurfaceMaterial(edge=0.02, bump=0.9, grain=0.25, mottle=0.05, gloss=0.02, shadow=0.03)
LACQUER = SurfaceMaterial(edge=0.02, gloss=0.35, mottle=0.05, shadow=0.03)


def lay_cutlery(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
    """Put chopsticks, a knife, a fork or a spoon beside a plate."""
    sketch, angle = Sketch(canvas, place, reach=1.3), np.pi / 2 + rng.normal(0, 0.2)
    shape, material, colour = CUTLERY[int(rng.integers(len(CUTLERY)))]
    shape(sketch, angle, place.radius, varied(rng, colour, 0.1))
    canvas.lay(sketch, material, rng, 0)


def _chopsticks(sketch: Sketch, angle: float, unit: float, colour: Colour) -> None:
    for lean, shift in ((0.03, 0.08), (-0.03, -0.08)):
        stick = np.add(shaft(2 * unit, (0.03, 0.05, 0.07)), (0, shift * unit))
        sketch.piece(turned(stick, angle + lean), colour)


def _knife(sketch: Sketch, angle: float, unit: float, colour: Colour) -> None:
    sketch.piece(turned(shaft(2 * unit, (0.09, 0.1, 0.09, 0.07, 0.15, 0.16, 0.15, 0.02)), angle), colour)


def _handle(sketch: Sketch, angle: float, unit: float, colour: Colour) -> None:
    handle = np.add(shaft(1.4 * unit, (0.14, 0.15, 0.11, 0.07, 0.09)), (-0.3 * unit, 0))
    sketch.piece(turned(handle, angle), colour)


def _fork(sketch: Sketch, angle: float, unit: float, colour: Colour) -> None:
    _handle(sketch, angle, unit, colour)
    sketch.piece(turned(np.add(rod(0.3 * unit, 0.24 * unit), (0.45 * unit, 0)), angle), colour)
    for shift in (-0.09, -0.03, 0.03, 0.09):
        sketch.piece(turned(np.add(rod(0.4 * unit, 0.035 * unit), (0.75 * unit, shift * unit)), angle), colour)


def _spoon(sketch: Sketch, angle: float, unit: float, colour: Colour) -> None:
    _handle(sketch, angle, unit, colour)
    sketch.piece(turned(np.add(disc(0.17 * unit) * (1.5, 1), (0.6 * unit, 0)), angle), colour)


CUTLERY = ((_chopsticks, LACQUER, (0.45, 0.22, 0.12)), *((each, METAL, STEEL) for each in (_knife, _fork, _spoon)))


def lay_napkin(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
    """Put down a folded napkin with a border."""
    sketch, colour, angle = Sketch(canvas, place, reach=1.8), choose(rng, CLOTHS), rng.uniform(0, np.pi)
    sheet = rod(1.9 * place.radius, 1.3 * place.radius, corner=0.02)
    sketch.piece(turned(sheet, angle), colour)
    sketch.mark(turned(0.9 * sheet, angle), choose(rng, CLOTHS))
    sketch.mark(turned(0.84 * sheet, angle), colour)
    sketch.piece(turned(sheet * (0.5, 1) + (0.48 * place.radius, 0), angle + 0.03), varied(rng, colour, 0.03))
    canvas.lay(sketch, FABRIC, rng, 0)


def stand_glass(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
    """Stand a glass of a drink on the table: tinted disc, bright rim and a reflection."""
    drink = choose(rng, ((0.85, 0.9, 0.92), (0.8, 0.55, 0.15), (0.4, 0.08, 0.12), (0.25, 0.14, 0.08)))
    overlay, centre = canvas.pixels.copy(), (int(place.x), int(place.y))
    for share, colour, thickness in ((0.88, drink, -1), (1.0, (0.92, 0.94, 0.95), 3), (0.9, (0.5, 0.52, 0.54), 2)):
        axes = (int(place.radius * share), int(place.radius * share * canvas.tilt))
        cv2.ellipse(overlay, centre, axes, 0, 0, 360, colour, thickness, cv2.LINE_AA)
    start = float(np.degrees(np.arctan2(canvas.light.y, canvas.light.x)))
    axes = (int(place.radius * 0.75), int(place.radius * 0.75 * canvas.tilt))
    cv2.ellipse(overlay, centre, axes, 0, start - 35, start + 35, (1.0, 1.0, 1.0), 4, cv2.LINE_AA)
    cv2.addWeighted(overlay, 0.65, canvas.pixels, 0.35, 0, dst=canvas.pixels)


def scatter_crumbs(canvas: Canvas, rng: np.random.Generator) -> None:
    """Strew a few crumbs over the whole picture."""
    height, width = canvas.labels.shape
    colour = varied(rng, (0.6, 0.45, 0.25), 0.3)
    for _ in range(int(rng.integers(0, 25))):
        at = (rng.uniform(0, width), rng.uniform(0, height))
        crumb = np.rint(blob(rng, rng.uniform(1.5, 4), wobble=0.2) + at).astype(np.int32)
        cv2.fillPoly(canvas.pixels, [crumb], varied(rng, colour, 0.2), cv2.LINE_AA)
