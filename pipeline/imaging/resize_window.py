"""Parts of a line resized by bicubic that can be had by themselves, to the very same bytes.

Pillow takes a `box` in 32 bit floats, so only a part that begins and ends where these are exact has its pixels' centres
where the whole line has them, up to the rounding of 64 bit floats. Pillow then rounds every weight to a multiple of
2^-22; where no weight of the whole line is close to half of one, such a part has the same weights.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

BICUBIC_REACH = 2.0
"""How far bicubic reaches to each side, in pixels of the smaller picture."""
WEIGHT_STEPS = 2**22
"""Pillow's weights of 8 bit pixels are multiples of one over this."""
FLOAT32_INTEGERS = 2**24
"""Up to here, 32 bit floats hold every integer."""
ROUNDING = 2.0**-53
"""Relative error of one operation on 64 bit floats."""
OPERATIONS = 64
"""More than the errors, each of `ROUNDING` times the length of the line, by which two ways to one weight differ."""


class Window(NamedTuple):
    """Part of a resized line."""

    pixels: slice
    """Its pixels of the result."""
    box: tuple[float, float]
    """Where Pillow must begin and end in the line that is resized, in pixels."""

    @property
    def size(self) -> int:
        """Its number of pixels."""
        return int(self.pixels.stop - self.pixels.start)


def bicubic_window(pixels: slice, *, length: int, to: int) -> Window:
    """Return the smallest window that holds some pixels of a line of `length` pixels resized to `to`."""
    step = _step(length, to)
    start, stop = pixels.start // step * step, min(to, -(-pixels.stop // step) * step)
    return Window(slice(start, stop), (start * length / to, stop * length / to))


@lru_cache(maxsize=1024)
def _step(length: int, to: int) -> int:
    """Return of how many pixels windows begin and end at a multiple; `to` if only the whole line is safe."""
    denominator = to // math.gcd(length, to)
    halvings = denominator & -denominator
    step = denominator // halvings
    useful, exact = step < to, length * halvings <= FLOAT32_INTEGERS
    return step if useful and exact and _weights_are_safe(length, to) else to


def _weights_are_safe(length: int, to: int) -> bool:
    """Tell whether rounding errors of 64 bit floats leave all of Pillow's rounded weights as they are."""
    steps = np.abs(bicubic_weights(length, to)) * WEIGHT_STEPS
    margin = OPERATIONS * to * ROUNDING * WEIGHT_STEPS
    return bool((np.abs(steps - np.floor(steps) - 0.5) > margin).all())


def bicubic_weights(length: int, to: int) -> Float64[np.ndarray, "half taps"]:
    """Return what Pillow weighs pixels by before it rounds, a row a pixel of the result's first half.

    The second half mirrors the first. Pixels that the line does not have weigh nothing.
    """
    scale = length / to
    shrink = max(scale, 1.0)
    reach = BICUBIC_REACH * shrink
    centers = (np.arange(-(-to // 2))[:, np.newaxis] + 0.5) * scale
    pixels = np.floor(centers - reach + 0.5) + np.arange(math.ceil(reach) * 2 + 1)
    distances = np.abs(pixels + 0.5 - centers) / shrink
    near = (1.5 * distances - 2.5) * distances * distances + 1
    far = ((2.5 - 0.5 * distances) * distances - 4) * distances + 2
    weights = np.where(distances < 1, near, far)
    weights[(distances >= BICUBIC_REACH) | (pixels < 0) | (pixels >= length)] = 0.0
    normalised: Float64[np.ndarray, "half taps"] = weights / weights.sum(axis=1, keepdims=True)
    return normalised
