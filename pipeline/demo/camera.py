"""From the lit table to a photo: lamp colour, vignette, lens, sensor noise."""

import cv2
import numpy as np
from jaxtyping import Float32

from pipeline.arrays import Image
from pipeline.demo.canvas import Field
from pipeline.demo.surfaces import coordinates

SUPERSAMPLING = 2
"""Canvas pixels a photo pixel, each way."""


def develop(pixels: Float32[np.ndarray, "rows columns 3"], size: tuple[int, int], rng: np.random.Generator) -> Image:
    """Return the photo of a canvas; nothing here depends on what the canvas shows.

    Args:
        pixels: Lit canvas.
        size: Width and height of the photo.
        rng: Source of light and noise.
    """
    photo = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.4, 0.75))
    warmth, green = rng.normal(0, 0.07), rng.normal(0, 0.012)
    gains = np.array([1 + warmth, 1 + green, 1 - warmth], np.float32) * rng.uniform(0.85, 1.2)
    photo *= _falloff(photo.shape[:2], rng)[..., np.newaxis] * gains
    photo = np.clip(photo, 0, 1) ** np.float32(rng.uniform(0.82, 1.1))
    grain = rng.standard_normal(photo.shape, dtype=np.float32) * np.float32(rng.uniform(0.004, 0.018))
    return np.asarray(np.clip((photo + grain) * 255 + 0.5, 0, 255), np.uint8)


def _falloff(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return brightness that falls away from the lamp and towards the corners."""
    along, _ = coordinates(shape, rng.uniform(0, 2 * np.pi))
    side = (along - along.min()) / np.ptp(along) - 0.5
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return np.asarray(1 + rng.uniform(0, 0.4) * side - rng.uniform(0, 0.16) * (x**2 + y**2), np.float32)
