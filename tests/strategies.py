"""What tests draw or make: pictures, masks, and samples of which only the names matter."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.datasets.index import Sample


@st.composite
def image_and_mask(draw: st.DrawFn, longest: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Draw a picture and a mask of its size with at least one pixel; noise shows errors that smooth pictures hide."""
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    image = np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = draw(arrays(np.bool_, (height, width)))
    mask[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = True
    return image, mask


def named_sample(sample_id: str, *, category: str = "bread") -> Sample:
    """Return a sample of a photo of one pixel."""
    split, stem, _ = sample_id.split("/")
    return Sample(
        sample_id=sample_id,
        photo_id=f"{split}/{stem}",
        split=split,
        photo_path=f"{stem}.png",
        label_map_path=None,
        mask_value=None,
        photo_height=1,
        photo_width=1,
        photo_sha256="0" * 64,
        label_map_sha256=None,
        category=category,
        category_id=1,
        target=0,
        mask_area=1,
        mask_share=1.0,
        x0=0,
        y0=0,
        x1=0,
        y1=0,
        components=1,
        prompts=None,
        flags=(),
    )
