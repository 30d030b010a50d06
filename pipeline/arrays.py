"""Array types. Axes: N samples, B batch, C channel, H height, W width, S side of a square, K class."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt16

Image: TypeAlias = UInt8[np.ndarray, "H W 3"]
"""RGB, values in [0, 255]."""
AnyImage: TypeAlias = UInt8[np.ndarray, "_ _ 3"]
"""One of several RGB pictures whose sizes may differ, values in [0, 255]."""
Mask: TypeAlias = Bool[np.ndarray, "H W"]
"""True inside the region of interest."""
LabelMap: TypeAlias = UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"]
"""Category id of every pixel, 0 is background; 16 bits if an id is over 255."""
Images: TypeAlias = UInt8[np.ndarray, "N S S 3"]
"""Square RGB pictures, values in [0, 255]."""
Photos: TypeAlias = UInt8[np.ndarray, "N S S 4"]
"""Square RGB pictures with their regions in a fourth channel: 0 padding, 1 surroundings, 2 ROI."""
Masks: TypeAlias = Bool[np.ndarray, "N S S"]
"""Square masks, True inside the region of interest."""
Targets: TypeAlias = Int64[np.ndarray, " N"]
"""Class indices in [0, K)."""
Logits: TypeAlias = Float32[np.ndarray, "N K"]
"""Unnormalised scores, one row a sample."""
