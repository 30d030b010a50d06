"""A photo of a meal with two foods, as files, for tests of what a user does with one."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.raw_folder import noise, save

HEIGHT, WIDTH = 40, 60
RED, GREEN = (30, 8, 50, 24), (4, 22, 22, 36)
"""Boxes of two foods: x0, y0, x1, y1, inclusive."""


class Meal(NamedTuple):
    """Files of one photo."""

    photo: Path
    label_map: Path
    """1 is the red food, 2 the green one."""


def write_meal(folder: Path, stem: str = "meal") -> Meal:
    """Write a gray, slightly noisy table with a red and a green food."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, labels = 120 + noise(HEIGHT, WIDTH, 0) // 16, np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, (box, colour) in enumerate(((RED, (200, 30, 30)), (GREEN, (30, 180, 40))), start=1):
        x0, y0, x1, y1 = box
        pixels[y0 : y1 + 1, x0 : x1 + 1] = colour
        labels[y0 : y1 + 1, x0 : x1 + 1] = value
    meal = Meal(folder / f"{stem}.png", folder / f"{stem}.mask.png")
    save(pixels, meal.photo)
    save(labels, meal.label_map)
    return meal
