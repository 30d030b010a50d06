"""From the lit table to a photo: lamp colour, vignette, lens, sensor noise."""

import cv2
import numpy as np

from pipeline.arrays import AnyImage
from pipeline.demo.canvas import Colours
from pipeline.demo.surfaces import coordinates

SUPERSAMPLING = 2  # canvas pixels a photo pixel, each way


def develop(pixels: Colours, size: tuple[int, int], rng: np.random.Generator) -> AnyImage:
    """Return the photo, of a width and height, of a canvas; nothing here depends on what the canvas shows."""
    photo = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.4, 0.75))
    warmth, green = rng.normal(0, 0.07), rng.normal(0, 0.012)
    gains = np.array([1 + warmth, 1 + green, 1 - warmth], np.float32) * rng.uniform(0.85, 1.2)
    # Brightness falls away from the lamp and towards the corners.
    along, _ = coordinates((size[1], size[0]), rng.uniform(0, 2 * np.pi))
    side = (along - along.min()) / np.ptp(along) - 0.5
    y, x = np.ogrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    falloff = np.asarray(1 + rng.uniform(0, 0.4) * side - rng.uniform(0, 0.16) * (x**2 + y**2), np.float32)
    photo *= falloff[..., np.newaxis] * gains
    photo = np.clip(photo, 0, 1) ** np.float32(rng.uniform(0.82, 1.1))
    grain = rng.standard_normal(photo.shape, dtype=np.float32) * np.float32(rng.uniform(0.004, 0.018))
    return np.asarray(np.clip((photo + grain) * 255 + 0.5, 0, 255), np.uint8)
