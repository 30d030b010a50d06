"""Plates, bowls and dip dishes, lit from their height profile."""

from typing import NamedTuple

import cv2
import numpy as np

from pipeline.demo.canvas import Canvas, Colour, Place, chance, noise, relief
from pipeline.demo.surfaces import choose

COARSE = 2  # canvas pixels a drawn pixel: vessels are smooth, so that half the resolution shows no less

GLAZES: tuple[Colour, ...] = (
    (0.93, 0.92, 0.9), (0.95, 0.94, 0.9), (0.9, 0.9, 0.92), (0.88, 0.83, 0.72), (0.35, 0.5, 0.62), (0.2, 0.21, 0.23),
    (0.6, 0.68, 0.6), (0.55, 0.36, 0.22),
)  # fmt: skip


class Profile(NamedTuple):
    """Height of a round vessel from its centre (0) to its edge (1), both relative to its radius."""

    at: tuple[float, ...]
    height: tuple[float, ...]
    band: float | None  # where a coloured band may run, or None


PLATE = Profile((0.0, 0.66, 0.74, 0.95, 0.985, 1.0), (0.0, 0.0, 0.05, 0.1, 0.1, 0.06), band=0.9)
DEEP_PLATE = Profile((0.0, 0.5, 0.68, 0.74, 0.96, 1.0), (0.0, 0.02, 0.1, 0.12, 0.15, 0.1), band=0.85)
BOWL = Profile((0.0, 0.4, 0.7, 0.92, 0.97, 1.0), (0.0, 0.02, 0.16, 0.36, 0.38, 0.3), band=None)
DIP_DISH = Profile((0.0, 0.6, 0.78, 0.88, 0.95, 1.0), (0.0, 0.0, 0.12, 0.22, 0.22, 0.1), band=None)
SAUCER = Profile((0.0, 0.74, 0.9, 0.97, 1.0), (0.0, 0.02, 0.08, 0.1, 0.06), band=None)


def serve(canvas: Canvas, place: Place, profile: Profile, rng: np.random.Generator) -> None:
    """Put a round vessel on the table, with its shadow; it is background."""
    height, width = canvas.labels.shape
    rows, columns = _span(place.y, 1.25 * place.radius, height), _span(place.x, 1.25 * place.radius, width)
    # Coarse coordinates on the table about the place, in radii.
    across = (np.arange(columns.start, columns.stop, COARSE) + 0.5 - place.x) / place.radius
    down = (np.arange(rows.start, rows.stop, COARSE) + 0.5 - place.y) / (place.radius * canvas.tilt)
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(across, down))
    distance, radius = np.hypot(x, y), np.float32(place.radius / COARSE)
    cast = np.hypot(x + np.float32(0.09 * canvas.light.x), y + np.float32(0.09 * canvas.light.y))
    opaque = np.clip((1 - distance) * radius + 0.5, 0, 1)
    lit = (1 - 0.55 * np.clip((1.08 - cast) / 0.18, 0, 1)) * (1 - opaque)
    # A lit, perhaps banded glaze.
    profile_height = np.interp(distance, profile.at, profile.height).astype(np.float32) * radius
    brightness, highlight = relief(profile_height, canvas.light)
    brightness *= 1 + np.float32(0.012) * noise(rng, brightness.shape, place.radius / COARSE / 3)
    glaze, ink = (np.asarray(choose(rng, GLAZES), np.float32) for _ in range(2))
    banded = profile.band is not None and chance(rng, 0.35)
    off_band = np.abs(distance - np.float32(profile.band or 0)) - np.float32(rng.uniform(0.012, 0.05))
    band = np.clip(0.5 - off_band * radius, 0, 1)[..., np.newaxis] * np.float32(banded)
    skin = (glaze + (ink - glaze) * band) * brightness[..., np.newaxis]
    skin = np.asarray(np.clip(skin + 0.16 * (highlight * highlight)[..., np.newaxis], 0, 1), np.float32)
    layer = cv2.resize(np.dstack([skin * opaque[..., np.newaxis], lit]), None, fx=COARSE, fy=COARSE)
    window = canvas.pixels[rows, columns]
    window *= layer[..., 3:]
    window += layer[..., :3]
    axes = (round(place.radius), round(place.radius * canvas.tilt))
    cv2.ellipse(canvas.labels, (round(place.x), round(place.y)), axes, 0, 0, 360, 0, cv2.FILLED)


def _span(centre: float, reach: float, side: int) -> slice:
    """Return the rows or columns within reach of a place, an even number."""
    start = max(0, int(centre - reach)) // COARSE * COARSE
    return slice(start, max(start + COARSE, min(side, int(centre + reach) // COARSE * COARSE)))
