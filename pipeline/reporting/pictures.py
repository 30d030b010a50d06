"""Photos, masks and cut-outs as the page and the figures show them; on the page as data URIs."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from pipeline.arrays import Image, Mask
from pipeline.datasets.index import Sample, choose_named, read_samples
from pipeline.datasets.photos import read_photo_of
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.imaging.drawing import edge
from pipeline.reporting.results import ReportInputs
from pipeline.runtime.console import progress

SPLIT = "test"
LONGEST = 300
"""Pixels of the longer side of a photo."""
SQUARE = 160
"""Side in pixels of cut-outs in a figure."""
LOSSLESS_SIDE = 96
"""Pixels of the longer side up to which a picture is stored losslessly."""
DIMMED = 0.3
"""Brightness outside the region of interest."""
OUTLINE = np.array([255, 214, 10], np.uint8)
"""Yellow: visible on nearly every food, also to colour-blind readers."""

Shown: TypeAlias = UInt8[np.ndarray, "h w 3"]
"""RGB at the size it is shown."""
ShownMask: TypeAlias = Bool[np.ndarray, "h w"]
"""Mask at the size it is shown."""
Square: TypeAlias = UInt8[np.ndarray, "s s 3"]
"""RGB at the size it has in a figure."""


class Picture(NamedTuple):
    """One `<img>`."""

    uri: str
    width: int
    height: int
    description: str
    """Alternative text."""


def picture(image: Image, description: str) -> Picture:
    """Encode an image; same pixels, same bytes for one version of Pillow."""
    height, width = image.shape[:2]
    buffer = BytesIO()
    options = {"lossless": True} if max(height, width) <= LOSSLESS_SIDE else {"quality": 80}
    Pillow.fromarray(image).save(buffer, format="WEBP", method=6, **options)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(uri, width, height, description)


def shrink(image: Image, longest: int) -> Shown:
    """Return the image with its longer side at most `longest` pixels."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))


def fit_mask(mask: Mask, rect: tuple[int, int, int, int], size: tuple[int, int]) -> ShownMask:
    """Lay a letterboxed mask over the photo it belongs to, `size` high and wide as it is shown.

    `rect` is the rectangle of the photo inside the mask: top, left, height, width.
    """
    top, left, height, width = rect
    part = Pillow.fromarray(mask[top : top + height, left : left + width].astype(np.uint8) * 255)
    return np.asarray(part.resize((size[1], size[0]), Pillow.Resampling.BICUBIC)) > 127  # noqa: PLR2004 - half of 255


def highlight(image: Image, mask: Mask) -> Image:
    """Return the photo with the region of interest outlined and everything else dimmed."""
    shown = np.where(mask[..., np.newaxis], image, (image * DIMMED).astype(np.uint8))
    return np.where(edge(mask)[..., np.newaxis], OUTLINE, shown)


class SamplePictures(NamedTuple):
    """Photo, mask and cut-outs of one sample."""

    sample: Sample
    photo: Shown
    """Whole photo, shrunk."""
    mask: ShownMask
    """Region of interest on the shrunk photo."""
    views: SampleBatch
    """Cut-outs, a single row."""

    def marked(self) -> Image:
        """Return the middle square of the photo around the region of interest, which is outlined."""
        shown = np.where(self.mask[..., np.newaxis], self.photo, (self.photo * (1 + DIMMED) / 2).astype(np.uint8))
        outline = edge(self.mask)
        thick = outline.copy()
        thick[1:] |= outline[:-1]
        thick[:, 1:] |= outline[:, :-1]
        shown[thick] = OUTLINE
        return crop_square(shown, self.mask)


def read_pictures(sample_ids: Sequence[str], inputs: ReportInputs, *, what: str) -> dict[str, SamplePictures]:
    """Read the pictures of some test samples; none without photos. `what` is the name of the progress bar.

    Raises:
        DatasetError: If a photo is absent or not the one that stage `index` read.
        ManifestError: If a shard is absent or damaged.
    """
    if inputs.raw is None:
        return {}
    chosen = choose_named(read_samples(inputs.index / "samples.parquet"), sample_ids)
    views, pictures = inputs.shards.select(SPLIT, [indexed.row for indexed in chosen]), {}
    for row, indexed in enumerate(progress(chosen, total=len(chosen), what=what, unit="sample")):
        photo = read_photo_of(indexed.sample, inputs.raw)
        pictures[indexed.sample.sample_id] = sample_pictures(indexed.sample, photo, views.row(row))
    return pictures


def sample_pictures(sample: Sample, photo: Image, views: SampleBatch) -> SamplePictures:
    """Shrink the photo of a sample and lay its mask over it; `views` is a single row."""
    small = shrink(photo, LONGEST)
    top, left, height, width = views.rects[0].tolist()
    mask = fit_mask(views.masks[0], (top, left, height, width), small.shape[:2])
    return SamplePictures(sample, small, mask, views)


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
