"""One sample as figures show it."""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.datasets.index import Sample
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.imaging.drawing import edge
from pipeline.reporting.pictures import DIMMED, OUTLINE, Shown, ShownMask, fit_mask, shrink

LONGEST = 300
"""Pixels of a photo in a figure."""
SQUARE = 160
"""Side in pixels of cut-outs in a figure."""

Square: TypeAlias = UInt8[np.ndarray, "s s 3"]
"""RGB at the size it has in a figure."""


class SamplePictures(NamedTuple):
    """What figures need of one sample."""

    category: str
    photo: Shown
    """Whole photo, shrunk."""
    outline: ShownMask
    """Mask laid over it."""
    views: SampleBatch
    """The sample's cut-outs, a single row."""

    def marked(self) -> Image:
        """Return the middle square of the photo around the region of interest, which is outlined."""
        shown = np.where(self.outline[..., np.newaxis], self.photo, (self.photo * (1 + DIMMED) / 2).astype(np.uint8))
        shown[_thick(edge(self.outline))] = OUTLINE
        return crop_square(shown, self.outline)


def make_scene(sample: Sample, photo: Image, views: SampleBatch) -> SamplePictures:
    """Put one sample together.

    Args:
        sample: Row of the sample table.
        photo: Whole photo.
        views: Its cut-outs, a single row.
    """
    small = shrink(photo, LONGEST)
    top, left, height, width = views.rects[0].tolist()
    mask = fit_mask(views.masks[0], (top, left, height, width), small.shape[:2])
    return SamplePictures(sample.category, small, mask, views)


def crop_square(image: Image, mask: ShownMask) -> Square:
    """Cut the largest square out of a picture, as near to the middle of a region as possible."""
    height, width = mask.shape
    side = min(height, width)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = (
        0 if not len(places) else int(np.clip((places[0] + places[-1] + 1 - side) // 2, 0, length - side))
        for places, length in ((rows, height), (columns, width))
    )
    return image[top : top + side, left : left + side]


def enlarge(view: Image) -> Square:
    """Return a cut-out at the size it has in figures."""
    return np.asarray(Pillow.fromarray(view).resize((SQUARE, SQUARE), Pillow.Resampling.BICUBIC))


def _thick(outline: ShownMask) -> ShownMask:
    """Return an outline of two pixels."""
    wider = outline.copy()
    wider[1:] |= outline[:-1]
    wider[:, 1:] |= outline[:, :-1]
    return wider
