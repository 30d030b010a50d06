"""Smooth random fields and the light on a surface: what every texture is made of."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float32

Field: TypeAlias = Float32[np.ndarray, "H W"]
"""One number a pixel."""
Colours: TypeAlias = Float32[np.ndarray, "H W 3"]
"""RGB, 0 dark to 1 bright."""
Colour: TypeAlias = tuple[float, float, float]
"""RGB, 0 dark to 1 bright."""

AMBIENT = 0.45
HIGHLIGHT_POWER = 24


@dataclass(frozen=True, slots=True)
class Light:
    """One lamp far away: unit vector towards it; x to the right, y down, z out of the picture."""

    x: float
    y: float
    z: float

    @classmethod
    def from_angles(cls, azimuth: float, elevation: float) -> "Light":
        """Place the lamp; both angles in radians, elevation 0 at the table's edge."""
        flat = np.cos(elevation)
        return cls(float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with a probability in [0, 1]."""
    return bool(rng.random() < probability)


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float | tuple[float, float]) -> Field:
    """Return a smooth field of mean 0 and deviation about 0.7 whose features are `cell` pixels (y, x) large."""
    cells = cell if isinstance(cell, tuple) else (cell, cell)
    rows, columns = (int(side / size) + 2 for side, size in zip(shape, cells, strict=True))
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def fractal(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int) -> Field:
    """Return noise of several sizes, each half as large and as strong as the one before."""
    total = noise(rng, shape, cell)
    for octave in range(1, octaves):
        total += noise(rng, shape, max(cell / 2**octave, 1.0)) / np.float32(2**octave)
    return total


def dome(depth: Field, edge: float) -> Field:
    """Return the height of a body that rounds off over the outermost `edge` pixels; `depth` counts from its outline."""
    inside = np.clip(depth / np.float32(max(edge, 1.0)), 0, 1)
    return np.asarray(np.sqrt(inside * (2 - inside)) * np.float32(edge), np.float32)


def relief(height: Field, light: Light) -> tuple[Field, Field]:
    """Light a surface.

    Args:
        height: Height in pixels.
        light: Lamp.

    Returns:
        Brightness, 1 on level ground, and highlight, 0 to 1.
    """
    slope_x, slope_y = (cv2.Sobel(height, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    length = np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    facing = (light.z - slope_x * light.x - slope_y * light.y) / length
    halfway = math.sqrt(2 + 2 * light.z)
    mirror = (light.z + 1 - slope_x * light.x - slope_y * light.y) / (length * halfway)
    brightness = AMBIENT + (1 - AMBIENT) * np.clip(facing, 0, 1) / light.z
    highlight = cv2.pow(np.asarray(np.clip(mirror, 0, 1), np.float32), HIGHLIGHT_POWER)
    return np.asarray(brightness, np.float32), np.asarray(highlight, np.float32)
