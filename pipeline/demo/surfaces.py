"""Table tops: wood, cloth, slate, tiles, marble."""

import cv2
import numpy as np

from pipeline.demo.canvas import Colour, Colours, Field, chance, fractal, noise
from pipeline.demo.foods import varied

WOODS: tuple[Colour, ...] = (
    (0.55, 0.36, 0.2), (0.72, 0.53, 0.34), (0.36, 0.22, 0.14), (0.8, 0.68, 0.5), (0.5, 0.46, 0.42),
)  # fmt: skip
CLOTHS: tuple[Colour, ...] = (
    (0.9, 0.88, 0.83), (0.75, 0.2, 0.18), (0.22, 0.32, 0.5), (0.6, 0.66, 0.55), (0.85, 0.75, 0.55), (0.45, 0.45, 0.48),
)  # fmt: skip
STONES: tuple[Colour, ...] = ((0.2, 0.21, 0.23), (0.3, 0.29, 0.28), (0.62, 0.6, 0.57), (0.86, 0.85, 0.83))


def tinted(field: Field, colour: Colour) -> Colours:
    """Return a colour times a brightness field."""
    return np.asarray(field[..., np.newaxis] * np.asarray(colour, np.float32), np.float32)


def choose(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """Return one of the colours, slightly varied."""
    return varied(rng, colours[int(rng.integers(len(colours)))], 0.07)


def coordinates(shape: tuple[int, int], angle: float) -> tuple[Field, Field]:
    """Return pixel coordinates along and across a direction in radians."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(x * cos + y * sin, np.float32), np.asarray(y * cos - x * sin, np.float32)


def wood(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Colours:
    """Planks with grain along them and dark seams between."""
    upright = chance(rng, 0.5)
    box = shape[::-1] if upright else shape
    plank = scale * rng.uniform(0.22, 0.45)
    rows = np.arange(box[0], dtype=np.float32) + rng.uniform(0, plank)
    grain = noise(rng, box, (scale / 60, scale * 0.7)) * 0.09 + noise(rng, box, (scale / 200, scale * 0.25)) * 0.06
    waves = np.sin(rows[:, np.newaxis] * (70 / scale) + 5 * noise(rng, box, (scale / 5, scale))) * 0.045
    tone = 1 + rng.normal(0, 0.09, int(box[0] / plank) + 3)[(rows / plank).astype(int)]
    seam = 1 - 0.55 * (np.minimum(rows % plank, plank - rows % plank) < scale / 160)
    field = ((1 + grain + waves) * (tone * seam)[:, np.newaxis]).astype(np.float32)
    return tinted(np.ascontiguousarray(field.T) if upright else field, choose(rng, WOODS))


def cloth(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Colours:
    """Woven cloth with soft folds: plain, striped or checked."""
    along, across = coordinates(shape, rng.uniform(0, np.pi))
    weave = 1 + 0.04 * np.sin(along * 2.2) * np.sin(across * 2.2) + 0.05 * fractal(rng, shape, scale * 0.5, 2)
    pattern, period = rng.integers(3), scale * rng.uniform(0.08, 0.2)
    stripes = (along % period < period / 2).astype(np.float32)
    checks = (stripes + (across % period < period / 2)) / 2
    share = (np.zeros_like(stripes), 0.8 * stripes, 0.8 * checks)[pattern][..., np.newaxis]
    ground, ink = (np.asarray(choose(rng, CLOTHS), np.float32) for _ in range(2))
    return np.asarray((ground + (ink - ground) * share) * weave[..., np.newaxis], np.float32)


def stone(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Colours:
    """Slate or marble: clouds, veins and fine grain."""
    clouds = fractal(rng, shape, scale * 0.4, 4)
    veins = np.exp(-np.abs(fractal(rng, shape, scale * 0.6, 3)) * rng.uniform(12, 30))
    field = 1 + 0.07 * clouds - rng.uniform(-0.2, 0.25) * veins + 0.05 * noise(rng, shape, 2.0)
    return tinted(np.asarray(field, np.float32), choose(rng, STONES))


def tiles(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Colours:
    """Glazed square tiles in grout, every tile a little different."""
    side = scale * rng.uniform(0.2, 0.38)
    along, across = coordinates(shape, rng.uniform(-0.6, 0.6))
    columns, rows = np.floor(along / side).astype(int) % 16, np.floor(across / side).astype(int) % 16
    tone = (1 + rng.normal(0, 0.06, (16, 16)))[rows, columns]
    margin = np.minimum(np.minimum(along % side, side - along % side), np.minimum(across % side, side - across % side))
    joint = np.clip(margin / (scale / 90), 0, 1)
    field = (tone * (0.7 + 0.3 * joint) * (1 + 0.03 * fractal(rng, shape, scale * 0.2, 3))).astype(np.float32)
    return tinted(field, choose(rng, STONES + CLOTHS))


SURFACES = (wood, wood, cloth, cloth, stone, tiles)
"""Draw a table top of a shape; lengths scale with the third argument, the photo's short side in pixels."""


def table_top(rng: np.random.Generator, shape: tuple[int, int], tilt: float, scale: float) -> Colours:
    """Return a random table top as the tilted camera sees it."""
    surface = SURFACES[int(rng.integers(len(SURFACES)))]
    # Half as many pixels each way: the lens is focused on the food, not on the table.
    level = surface(rng, (round(shape[0] / tilt / 2), shape[1] // 2), scale / 2)
    return np.clip(cv2.resize(level, shape[::-1], interpolation=cv2.INTER_LINEAR), 0.02, 1)
