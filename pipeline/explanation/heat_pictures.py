"""Heat of a branch as colour over the view it looked at."""

import matplotlib as mpl
import numpy as np

from pipeline.arrays import Image, Mask
from pipeline.explanation.heat_maps import Heat, spread
from pipeline.imaging.contact_sheet import edge

COLOURS = "inferno"
"""Grows in lightness alone, so it reads in print and without colour vision."""
GRAY_SHARE = 0.55
"""Brightness of the view under the heat."""


def blend_heat(view: Image, mask: Mask, heat: Heat) -> Image:
    """Return a square view in gray, the heat in colour over it, and the region of interest outlined in white.

    Args:
        view: What the branch saw, at the size to be shown.
        mask: Region of interest at that size.
        heat: Brightest where it is greatest, whatever its unit.
    """
    gray = GRAY_SHARE * view.mean(axis=2, keepdims=True) / 255
    level = spread(heat, len(view))[..., np.newaxis] / max(float(heat.max()), np.finfo(np.float32).tiny)
    colour = mpl.colormaps[COLOURS](np.clip(level[..., 0], 0, 1))[..., :3]
    shown = np.clip(gray * (1 - level) + colour * level, 0, 1)
    shown[edge(mask)] = 1
    pixels: Image = (255 * shown).round().astype(np.uint8)
    return pixels
