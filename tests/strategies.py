"""Hypothesis strategies of pictures and masks."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


@st.composite
def image_and_mask(draw: st.DrawFn, longest: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Draw a picture and a mask of its size with at least one pixel; noise shows errors that smooth pictures hide."""
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    image = np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = draw(arrays(np.bool_, (height, width)))
    mask[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = True
    return image, mask
